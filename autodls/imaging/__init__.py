"""Volumes and the grids they lie on: the only package that imports SimpleITK."""
