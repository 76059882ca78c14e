"""A cohort that does not exist, whose best reachable AUC and hazard ratio are known."""
