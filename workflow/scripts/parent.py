"""Draw shards of a parent catalogue and compute what their points look like."""

from snakemake.iocontainers import Snakemake

from mocksed.run.launch import run
from mocksed.run.work import Work

snakemake: Snakemake

params = snakemake.params
shards = [{**shard, "output": path} for shard, path in zip(params.shards, snakemake.output, strict=True)]
common = {"recipes": params.recipes, "n_shards": params.n_shards, "about": params.about}
run(Work("parent", common, shards), snakemake.log[0], snakemake.threads, snakemake.resources)
