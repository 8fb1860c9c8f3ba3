"""Search a tree shard for the points nearest to what was proposed for each star-forming galaxy."""

import numpy as np

from mocksed import parent, provenance, realisations, staging, storage, tree
from mocksed.cosmology import age_max, cosmology
from mocksed.jobs import job, progress
from mocksed.neighbours import metric_of

with job(snakemake.log[0], snakemake.threads):
    params, files = snakemake.params, snakemake.input
    metric, recipe = metric_of(**params.metric), parent.recipe(**params.recipe)
    start, stop = storage.shard_bounds(recipe["n"], params.n_trees)[params.tree]
    leaves = staging.local(files.leaves, staging.scratch_of(snakemake.config))
    search = tree.read(leaves, files.about, metric, start, stop, recipe)
    wanted = ["galaxy_id", "redshift", "log_mstar", "quiescent"]
    galaxies = storage.read_arrays(files.galaxies, wanted, optional=[realisations.COLUMN])
    galaxies = {name: values[~galaxies["quiescent"]] for name, values in galaxies.items()}
    proposed = storage.to_arrays(storage.read_table(files.proposals))
    proposal = {name.removeprefix("prop_"): values for name, values in proposed.items()}
    limit = age_max(cosmology(**params.cosmology), galaxies["redshift"])
    if not params.neighbours["allowed_ages_only"]:
        limit = np.full(len(limit), np.inf)
    targets = metric.coordinates(proposal | galaxies)
    with progress(len(targets), "galaxies", "neighbours") as bar:
        rows, distance, found = search.nearest_allowed(targets, params.neighbours["k"], limit, bar)
    columns = proposed | {"neighbour_index": rows, "neighbour_distance": distance, "neighbour_found": found}
    storage.write_table(snakemake.output[0], columns, params.about | provenance.of_file(files.about))
