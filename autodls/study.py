"""A study: a dataset folder, its workspace, and one method a stage."""
