"""Hold the catalogue against what is observed of the sky: figures, the table of scores, and the numbers."""

from mocksed.run.jobs import job
from mocksed.run.stages import plots

with job(snakemake.log[0]):
    plots.hold_against_sky(dict(snakemake.params), snakemake.input.catalog, dict(snakemake.output))
