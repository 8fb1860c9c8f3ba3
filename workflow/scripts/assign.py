"""Turn what the search found into FSPS parameters."""

from mocksed import stages
from mocksed.jobs import job

with job(snakemake.log[0], snakemake.threads):
    files = snakemake.input
    parents = {"star_forming": list(files.star_forming), "quiescent": list(files.quiescent)}
    read = {"galaxies": files.galaxies, "neighbours": files.neighbours, "parents": parents}
    params = {**snakemake.params.search, "config": snakemake.config}
    stages.assign_shard(params, read, snakemake.params.shard, snakemake.output[0])
