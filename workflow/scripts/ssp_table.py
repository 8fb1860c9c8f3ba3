"""Let FSPS write the SSP table."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.sps import make_table

snakemake: Snakemake

with job(snakemake.log[0]):
    make_table.make(snakemake.output[0], snakemake.params.imf_type)
