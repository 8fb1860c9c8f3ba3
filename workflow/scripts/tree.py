"""Build the k-d tree of a range of rows of a parent."""

from mocksed import storage
from mocksed.jobs import job, progress
from mocksed.search import parent, tree
from mocksed.search.metric import metric_of

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    recipe = parent.recipe(**params.recipe)
    catalogue = parent.open_shards(snakemake.input.parents, recipe)
    metric = metric_of(params.kind, **params.metric)
    start, stop = storage.shard_bounds(recipe["n"], params.n_trees)[params.tree]
    with progress(stop - start, "points", "tree") as bar:
        tree.write(catalogue, metric, start, stop, snakemake.output.leaves, snakemake.output.about, bar)
