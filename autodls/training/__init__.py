"""Training: augmentation, the fitting loop, the two stages of a fold, the locked ensemble."""
