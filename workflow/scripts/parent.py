"""Draw one shard of a parent catalogue and compute what its points look like."""

import numpy as np

from mocksed import parent, provenance, storage
from mocksed.cosmology import cosmology
from mocksed.jobs import job, progress
from mocksed.relations import Relations
from mocksed.sps import engines

BLOCK = 100_000

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    kind, quiescent = snakemake.wildcards.kind, snakemake.wildcards.kind == "quiescent"
    sampling = parent.sampling_of(params.sampling["sampling"], kind)
    engine = engines.over_table(params.sps)
    start, stop = storage.shard_bounds(params.sampling["n"], params.n_shards)[params.shard]
    columns = {name: np.empty(stop - start) for name in parent.COLUMNS}
    with progress(stop - start, "points", f"parent {kind}") as bar:
        for first in range(start, stop, BLOCK):
            ids = np.arange(first, min(first + BLOCK, stop))
            drawn = parent.sample(
                ids,
                sampling,
                quiescent=quiescent,
                seed=params.seed,
                cosmo=cosmology(**params.cosmology),
                scatter=Relations.from_config(params.scatter),
            )
            for name, values in parent.evaluate(drawn, engine, quiescent=quiescent).items():
                columns[name][first - start : first - start + len(ids)] = values
            bar.update(len(ids))
    about = params.about | provenance.of_engine(engine, params.sps) | {"sampling": sampling}
    storage.write_table(snakemake.output[0], columns, about)
