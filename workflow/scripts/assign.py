"""Average the neighbours of star-forming galaxies into FSPS parameters."""

from mocksed import assign, provenance, storage, tree
from mocksed.cosmology import age_max, cosmology
from mocksed.jobs import job
from mocksed.neighbours import METRICS

with job(snakemake.log[0], snakemake.threads):
    galaxies = storage.read_arrays(snakemake.input.galaxies, ["redshift", "quiescent"])
    nearest = storage.to_arrays(storage.read_table(snakemake.input.neighbours))
    _, parameters = tree.read(snakemake.input.points, snakemake.input.parameters)
    assigned = assign.assign(
        {name: parameters[name][nearest["neighbour_index"]].astype(float) for name in assign.PARAMETERS},
        nearest["neighbour_distance"],
        age_max(cosmology(**snakemake.params.cosmology), galaxies["redshift"][~galaxies["quiescent"]]),
        nearest["neighbour_found"],
        nearest["prop_log_us"],
        METRICS[snakemake.params.metric],
    )
    kept = {name: nearest[name] for name in nearest if not name.startswith("neighbour_")}
    storage.write_table(snakemake.output[0], kept | assigned, provenance.of_file(snakemake.input.neighbours))
