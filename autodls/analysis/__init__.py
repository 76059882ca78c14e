"""From the scores of a study to its results, as records."""
