"""Write the numbers behind all diagnostic plots."""

from mocksed import diagnostics, storage
from mocksed.jobs import job

with job(snakemake.log[0]):
    settings = diagnostics.Settings(**snakemake.params.settings)
    sample = diagnostics.read_sample(snakemake.input.catalog, snakemake.input.star_forming, settings)
    storage.write_json(snakemake.output[0], diagnostics.summary(sample, settings))
