"""The execution of a run: its jobs, their work and cost, on one machine, with MPI or on SLURM."""
