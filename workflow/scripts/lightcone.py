"""Draw one shard of the light cone."""

from mocksed.run.jobs import job
from mocksed.run.stages import galaxies

with job(snakemake.log[0]):
    galaxies.draw_light_cone(dict(snakemake.params), snakemake.output[0])
