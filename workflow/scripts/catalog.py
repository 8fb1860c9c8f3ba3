"""Compute the galaxies' derived quantities, magnitudes and emission lines."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import products

snakemake: Snakemake

with job(snakemake.log[0], snakemake.threads):
    files = snakemake.input
    products.make_catalog(dict(snakemake.params), files.galaxies, files.assigned[0], snakemake.output[0])
