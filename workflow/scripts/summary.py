"""Write the numbers behind all diagnostic plots."""

from mocksed import diagnostics, provenance, storage
from mocksed.jobs import job

with job(snakemake.log[0]):
    settings = diagnostics.Settings(**snakemake.params.settings)
    diagnostics.check_inputs(snakemake.input.catalog, snakemake.input.star_forming, **snakemake.params.run)
    sample = diagnostics.read_sample(snakemake.input.catalog, snakemake.input.star_forming, settings)
    about = provenance.stamped(provenance.of_file(snakemake.input.catalog[0]))
    storage.write_json(snakemake.output[0], {"provenance": about} | diagnostics.summary(sample, settings))
