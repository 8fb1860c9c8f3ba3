"""Write the galaxies of the run for another program."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import plots

snakemake: Snakemake

with job(snakemake.log[0]):
    plots.export(dict(snakemake.params), snakemake.input.catalog, snakemake.input.survey, snakemake.output[0])
