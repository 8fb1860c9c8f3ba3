"""Draw one shard of the light cone."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import galaxies

snakemake: Snakemake

with job(snakemake.log[0]):
    galaxies.draw_light_cone(dict(snakemake.params), snakemake.output[0])
