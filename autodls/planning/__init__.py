"""What stands before training: the check of a dataset, its fingerprint, the plan and the splits."""
