"""How a run is carried out: its jobs, what they do and what they cost, on one machine or on ranks of MPI and SLURM."""
