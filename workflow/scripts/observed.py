"""Write what an instrument sees of shards of the catalogue."""

from snakemake.iocontainers import Snakemake

from mocksed.run.launch import run
from mocksed.run.work import Work

snakemake: Snakemake

files = zip(snakemake.input.catalog, snakemake.params.shards, snakemake.output, strict=True)
shards = [{"catalog": catalog, "shard": shard, "output": path} for catalog, shard, path in files]
run(Work("observed", snakemake.params.run, shards), snakemake.log[0], snakemake.threads, snakemake.resources)
