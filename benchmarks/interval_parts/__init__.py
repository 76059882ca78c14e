"""Simulations of the intervals and P values that are printed: one module a topic, `../intervals.py` runs them."""
