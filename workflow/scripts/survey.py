"""Write what a survey sees of a shard of the catalogue."""

from mocksed.jobs import job
from mocksed.survey import stage

with job(snakemake.log[0], snakemake.threads):
    stage.make(snakemake.input.catalog, snakemake.output[0], **snakemake.params)
