"""Search for the parent points near what is asked of each galaxy, and take one."""

from snakemake.iocontainers import Snakemake

from mocksed.run.launch import run
from mocksed.run.work import Work

snakemake: Snakemake

files = zip(snakemake.input.galaxies, snakemake.params.shards, snakemake.output, strict=True)
shards = [{"galaxies": galaxies, "shard": shard, "output": path} for galaxies, shard, path in files]
balance = snakemake.input.balance
common = {**snakemake.params.search, "trees": snakemake.params.trees, "balance": balance[0] if balance else None}
common["config"] = snakemake.config
run(Work("neighbours", common, shards), snakemake.log[0], snakemake.threads, snakemake.resources)
