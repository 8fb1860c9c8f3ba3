"""Propose what the relations ask of star-forming galaxies."""

from mocksed import assign, provenance, reach, realisations, storage
from mocksed.cosmology import Cosmology, age_max
from mocksed.jobs import job
from mocksed.relations import Relations
from mocksed.sps import engines

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    wanted = ["galaxy_id", "redshift", "log_mstar", "quiescent"]
    galaxies = storage.read_arrays(snakemake.input.galaxies, wanted, optional=[realisations.COLUMN])
    galaxies = {name: values[~galaxies["quiescent"]] for name, values in galaxies.items() if name != "quiescent"}
    engine = engines.over_table(params.sps) if params.proposals == "joint" else None
    scatter, cosmo = Relations.from_config(params.scatter), Cosmology(**params.cosmology)
    proposal = assign.propose(
        **galaxies,
        seed=params.seed,
        scatter=scatter,
        age_limit=age_max(cosmo, galaxies["redshift"]),
        models=reach.Models(engine, scatter, cosmo) if engine else None,
    )
    about = params.about | (provenance.of_engine(engine, params.sps) if engine else {})
    columns = realisations.keys(galaxies) | {f"prop_{name}": values for name, values in proposal.items()}
    storage.write_table(snakemake.output[0], columns, about)
