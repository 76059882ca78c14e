"""Networks: an encoder per sequence, PCA over its channels, a transformer over all sequences, the scale of a score."""
