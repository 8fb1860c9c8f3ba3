"""Draw one shard of a parent catalogue and compute what its points look like."""

from mocksed import parent, provenance, storage
from mocksed.jobs import job, progress
from mocksed.sps import engines

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    recipe, sps = parent.recipe(**params.recipe), params.recipe["sps"]
    engine = engines.over_table(sps)
    start, stop = storage.shard_bounds(recipe["n"], params.n_shards)[params.shard]
    about = params.about | provenance.of_engine(engine, sps)
    with progress(stop - start, "points", f"parent {recipe['kind']}") as bar:
        parent.write(snakemake.output[0], start, stop, recipe, engine, about, bar)
