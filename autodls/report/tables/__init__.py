"""The tables of a paper."""
