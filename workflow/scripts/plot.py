"""Draw one diagnostic plot."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import plots

snakemake: Snakemake

with job(snakemake.log[0]):
    files, made = snakemake.input, snakemake.output
    plots.draw(dict(snakemake.params), files.catalog, files.star_forming, made.png, made.pdf)
