"""Balance the weights with which star-forming galaxies take their models."""

from mocksed.run.jobs import job
from mocksed.run.stages import search

with job(snakemake.log[0], snakemake.threads):
    params = {**snakemake.params.search, "config": snakemake.config}
    search.make_balance(params, snakemake.params.trees, snakemake.output[0])
