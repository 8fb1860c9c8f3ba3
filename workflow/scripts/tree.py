"""Write the star-forming parent as coordinates and parameters."""

from mocksed import tree
from mocksed.jobs import job
from mocksed.neighbours import METRICS

with job(snakemake.log[0]):
    metric = METRICS[snakemake.params.metric]
    tree.write(snakemake.input, metric, snakemake.output.points, snakemake.output.parameters)
