"""Volumes and the grids they lie on: the only package that imports SimpleITK, and only where it needs it."""
