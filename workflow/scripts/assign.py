"""Turn what the search found into FSPS parameters."""

from mocksed import stages
from mocksed.jobs import job

with job(snakemake.log[0], snakemake.threads):
    files = snakemake.input
    parents = {"star_forming": list(files.star_forming), "quiescent": list(files.quiescent)}
    read = {"galaxies": files.galaxies, "neighbours": files.neighbours, "parents": parents}
    stages.assign_shard({**snakemake.params.search, "config": snakemake.config}, read, snakemake.output[0])
