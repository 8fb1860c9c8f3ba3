"""Write what a survey sees of a shard of the catalogue."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.survey import fluxes

snakemake: Snakemake

with job(snakemake.log[0], snakemake.threads):
    fluxes.make(snakemake.input.catalog, snakemake.output[0], **snakemake.params)
