"""Draw the FSPS parameters of quiescent galaxies until their colours are in the UVJ box."""

from mocksed import parent, provenance, quiescent, realisations, storage
from mocksed.cosmology import Cosmology
from mocksed.jobs import job, progress
from mocksed.relations import Relations
from mocksed.sps import engines

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    wanted = ["galaxy_id", "redshift", "log_mstar", "quiescent"]
    galaxies = storage.read_arrays(snakemake.input.galaxies, wanted, optional=[realisations.COLUMN])
    galaxies = {name: values[galaxies["quiescent"]] for name, values in galaxies.items() if name != "quiescent"}
    prior = quiescent.Prior(
        sampling=parent.sampling_of(params.sampling, "quiescent"),
        box=params.quiescent["uvj_box"],
        max_tries=params.quiescent["max_tries"],
        seed=params.seed,
        cosmo=Cosmology(**params.cosmology),
        scatter=Relations.from_config(params.scatter),
        proposal=params.quiescent["proposal"],
        sfr=params.quiescent["sfr"],
    )
    engine = engines.over_table(params.sps)
    with progress(len(galaxies["galaxy_id"]), "galaxies", "quiescent") as bar:
        assigned = quiescent.assign(galaxies, prior, engine, bar)
    about = params.about | provenance.of_engine(engine, params.sps)
    storage.write_table(snakemake.output[0], realisations.keys(galaxies) | assigned, about)
