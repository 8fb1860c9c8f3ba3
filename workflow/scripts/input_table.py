"""Check the user's table and write it as shards in the columns of the catalogue."""

from snakemake.iocontainers import Snakemake

from mocksed.galaxies.spec import TableSpec
from mocksed.galaxies.table import write_shards
from mocksed.run.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    write_shards(
        TableSpec.from_config(snakemake.params.table, snakemake.params.uvj_box, snakemake.params.mass_functions),
        snakemake.params.seed,
        snakemake.output.shards,
        snakemake.output.report,
        about=snakemake.params.about,
        realisations=snakemake.params.realisations,
    )
