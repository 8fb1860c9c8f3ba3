"""Search tree shards for the points nearest to what was proposed for each star-forming galaxy."""

from mocksed.launch import Work, run

params, files = snakemake.params, snakemake.input
of_shard = zip(files.galaxies, files.proposals, params.trees, files.leaves, files.about, snakemake.output, strict=True)
names = ("galaxies", "proposals", "tree", "leaves", "about", "output")
shards = [dict(zip(names, values, strict=True)) for values in of_shard]
common = {key: params[key] for key in ("recipe", "metric", "cosmology", "k", "allowed_ages_only", "n_trees", "about")}
common["config"] = snakemake.config
run(Work("neighbours", common, shards), snakemake.log[0], snakemake.threads, snakemake.resources)
