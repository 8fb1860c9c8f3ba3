"""Write the star-forming parent as coordinates and parameters."""

from mocksed import provenance, storage, tree
from mocksed.jobs import job
from mocksed.neighbours import METRICS

with job(snakemake.log[0]):
    metric = METRICS[snakemake.params.metric]
    tree.write(snakemake.input, metric, snakemake.output.points, snakemake.output.parameters)
    about = provenance.of_file(snakemake.input[0]) | {"metric": snakemake.params.metric}
    storage.write_json(snakemake.output.about, provenance.stamped(about))
