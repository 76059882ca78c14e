"""Scoring new cases with a locked model."""
