"""Reporting checklists, filled in from a run."""
