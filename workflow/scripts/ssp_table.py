"""Let FSPS write the SSP table."""

from mocksed.run.jobs import job
from mocksed.sps import make_table

with job(snakemake.log[0]):
    make_table.make(snakemake.output[0], snakemake.params.imf_type)
