"""Hold the catalogue against what is observed of the sky: figures, the table of scores, and the numbers."""

from pathlib import Path

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import plots

snakemake: Snakemake

with job(snakemake.log[0]):
    files = snakemake.input
    plots.hold_against_sky(dict(snakemake.params), files.catalog, Path(files.tables[0]).parent, dict(snakemake.output))
