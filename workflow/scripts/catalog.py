"""Compute the galaxies' derived quantities, magnitudes and emission lines."""

from mocksed.run.jobs import job
from mocksed.run.stages import products

with job(snakemake.log[0], snakemake.threads):
    files = snakemake.input
    products.make_catalog(dict(snakemake.params), files.galaxies, files.assigned[0], snakemake.output[0])
