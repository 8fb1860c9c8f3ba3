"""Balance the weights with which star-forming galaxies take their models."""

from mocksed import stages
from mocksed.jobs import job

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    search = {**params.search, "config": snakemake.config}
    stages.make_balance(search, params.trees, snakemake.output[0])
