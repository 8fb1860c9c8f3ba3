"""Hold the run and its variants against the targets, and draw them side by side."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import plots

snakemake: Snakemake

with job(snakemake.log[0]):
    plots.compare(dict(snakemake.params), dict(snakemake.input), dict(snakemake.output))
