"""Draw one diagnostic plot."""

from mocksed.run.jobs import job
from mocksed.run.stages import plots

with job(snakemake.log[0]):
    files, made = snakemake.input, snakemake.output
    plots.draw(dict(snakemake.params), files.catalog, files.star_forming, made.png, made.pdf)
