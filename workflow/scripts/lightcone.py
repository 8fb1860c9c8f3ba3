"""Draw one shard of the light cone."""

from mocksed import provenance, storage
from mocksed.cosmology import Cosmology
from mocksed.galaxies.lightcone import LightCone
from mocksed.jobs import job

with job(snakemake.log[0]):
    params = snakemake.params
    cone = LightCone.from_config(params.lightcone, Cosmology(**params.cosmology), params.seed, params.mass_functions)
    start, stop = storage.shard_bounds(cone.n_galaxies, params.n_shards)[params.shard]
    about = params.about | {"area_deg2": cone.area_deg2, "n_galaxies": cone.n_galaxies}
    about |= provenance.of_shard(params.shard, params.n_shards)
    storage.write_table(snakemake.output[0], cone.draw(start, stop, params.realisations), about)
