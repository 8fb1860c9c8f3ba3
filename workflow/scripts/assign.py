"""Turn the neighbours of star-forming galaxies into FSPS parameters."""

import numpy as np

from mocksed import assign, parent, provenance, realisations, staging, storage
from mocksed.cosmology import Cosmology, age_max
from mocksed.jobs import job
from mocksed.neighbours import metric_of
from mocksed.sps import engines

with job(snakemake.log[0], snakemake.threads):
    params, files = snakemake.params, snakemake.input
    paths = [staging.local(path, staging.scratch_of(snakemake.config)) for path in files.parents]
    parents = parent.open_shards(paths, parent.recipe(**params.recipe))
    parents.check(assign.PARAMETERS)
    wanted = ["galaxy_id", "redshift", "log_mstar", "quiescent"]
    galaxies = storage.read_arrays(files.galaxies, wanted, optional=[realisations.COLUMN])
    galaxies = {name: values[~galaxies["quiescent"]] for name, values in galaxies.items()}
    nearest = storage.to_arrays(storage.read_table(files.neighbours))
    limit = age_max(Cosmology(**params.cosmology), galaxies["redshift"])
    method = params.assignment["method"]
    engine = engines.over_table(params.sps) if method == "refine" else None

    def assigned_to(rows):
        parameters = parents.take(assign.PARAMETERS, nearest["neighbour_index"][rows])
        return assign.assign(
            {name: values.astype(float) for name, values in parameters.items()},
            nearest["neighbour_distance"][rows],
            nearest["neighbour_found"][rows],
            {name: values[rows] for name, values in galaxies.items()},
            {name: nearest[f"prop_{name}"][rows] for name in (*assign.PROPOSED, "tau")},
            limit[rows],
            metric=metric_of(**params.metric),
            method=method,
            seed=params.seed,
            engine=engine,
            tau_weight=params.assignment["tau_weight"],
        )

    # the parameters of all neighbours of all galaxies would take ten times what is kept of them
    blocks = [slice(start, start + assign.BLOCK) for start in range(0, max(len(limit), 1), assign.BLOCK)]
    parts = [assigned_to(rows) for rows in blocks]
    assigned = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    kept = {name: nearest[name] for name in nearest if not name.startswith("neighbour_")}
    storage.write_table(snakemake.output[0], kept | assigned, provenance.of_file(files.neighbours))
