"""The study as the draft of a paper: what is said of it, and the Word file that holds it."""
