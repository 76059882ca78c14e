"""From scores to the statistics of a paper."""
