"""What a unit of work is, and who runs it: this machine, a Ray cluster, a SLURM cluster."""
