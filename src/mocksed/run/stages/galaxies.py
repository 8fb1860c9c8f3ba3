"""The stages of the galaxies: a light cone, or the user's table."""

from __future__ import annotations

from mocksed.cosmology import Cosmology
from mocksed.files import provenance, storage
from mocksed.galaxies.lightcone import LightCone
from mocksed.run.work import Params


def draw_light_cone(params: Params, output: str) -> None:
    """Draw a shard of the light cone.

    Parameters
    ----------
    params : mapping
        The config's ``lightcone``, ``cosmology``, ``seed``, ``mass_functions``; ``realisations``, their indices;
        ``shard`` and ``n_shards``: its number, and how many there are; ``about``: what the file says of the run.
    output : path
        The file to write.

    """
    cosmo = Cosmology(**params["cosmology"])
    cone = LightCone.from_config(params["lightcone"], cosmo, params["seed"], params["mass_functions"])
    start, stop = storage.shard_bounds(cone.n_galaxies, params["n_shards"])[params["shard"]]
    about = params["about"] | {"area_deg2": cone.area_deg2, "n_galaxies": cone.n_galaxies}
    about |= provenance.of_shard(params["shard"], params["n_shards"])
    storage.write_table(output, cone.draw(start, stop, params["realisations"]), about)
