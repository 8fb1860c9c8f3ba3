"""Write the numbers behind all diagnostic plots."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import plots

snakemake: Snakemake

with job(snakemake.log[0]):
    files = snakemake.input
    plots.summarise(dict(snakemake.params), files.catalog, files.star_forming, snakemake.output[0])
