"""Balance the weights with which star-forming galaxies take their models."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import search

snakemake: Snakemake

with job(snakemake.log[0], snakemake.threads):
    params = {**snakemake.params.search, "config": snakemake.config}
    search.make_balance(params, snakemake.params.trees, snakemake.output[0])
