"""Average the neighbours of star-forming galaxies into FSPS parameters."""

from mocksed import assign, parent, provenance, staging, storage
from mocksed.cosmology import age_max, cosmology
from mocksed.jobs import job
from mocksed.neighbours import metric_of

with job(snakemake.log[0], snakemake.threads):
    params, files = snakemake.params, snakemake.input
    paths = [staging.local(path, staging.scratch_of(snakemake.config)) for path in files.parents]
    parents = parent.open_shards(paths, parent.recipe(**params.recipe))
    parents.check(assign.PARAMETERS)
    galaxies = storage.read_arrays(files.galaxies, ["redshift", "quiescent"])
    nearest = storage.to_arrays(storage.read_table(files.neighbours))
    parameters = parents.take(assign.PARAMETERS, nearest["neighbour_index"])
    assigned = assign.assign(
        {name: values.astype(float) for name, values in parameters.items()},
        nearest["neighbour_distance"],
        age_max(cosmology(**params.cosmology), galaxies["redshift"][~galaxies["quiescent"]]),
        nearest["neighbour_found"],
        nearest["prop_log_us"],
        metric_of(**params.metric),
    )
    kept = {name: nearest[name] for name in nearest if not name.startswith("neighbour_")}
    storage.write_table(snakemake.output[0], kept | assigned, provenance.of_file(files.neighbours))
