"""Turn what the search found into FSPS parameters."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import search

snakemake: Snakemake

with job(snakemake.log[0], snakemake.threads):
    files = snakemake.input
    parents = {"star_forming": list(files.star_forming), "quiescent": list(files.quiescent)}
    read = {"galaxies": files.galaxies, "neighbours": files.neighbours, "parents": parents}
    params = {**snakemake.params.search, "config": snakemake.config}
    search.assign_shard(params, read, snakemake.params.shard, snakemake.output[0])
