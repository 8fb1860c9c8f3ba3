"""Write the galaxies of the run for another program."""

from mocksed.run.jobs import job
from mocksed.run.stages import plots

with job(snakemake.log[0]):
    plots.export(dict(snakemake.params), snakemake.input.catalog, snakemake.input.survey, snakemake.output[0])
