"""Draw one diagnostic plot."""

from mocksed import diagnostics, provenance
from mocksed.jobs import job

with job(snakemake.log[0]):
    name = snakemake.params.diagnostic
    diagnostic = diagnostics.DIAGNOSTICS[name]
    settings = diagnostics.Settings(**snakemake.params.settings)
    diagnostics.check_inputs(snakemake.input.catalog, snakemake.input.star_forming, **snakemake.params.run)
    sample = diagnostics.read_sample(snakemake.input.catalog, snakemake.input.star_forming, settings, [name])
    figure = diagnostic.draw(sample, diagnostic.measure(sample, settings), settings)
    about = provenance.stamped(provenance.of_file(snakemake.input.catalog[0]))
    diagnostics.save(figure, snakemake.output.png, snakemake.output.pdf, about)
