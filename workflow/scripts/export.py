"""Write the galaxies of the run for another program."""

from pathlib import Path

from mocksed import provenance
from mocksed.export.registry import EXPORTERS, write_of_run
from mocksed.jobs import job

with job(snakemake.log[0]):
    params = snakemake.params
    for path, shard in zip(snakemake.input.catalog, params.shards, strict=True):
        provenance.check(path, provenance.expected_of_catalogue(params.about, params.sps, shard))
    rows = dict(params.rows)
    if EXPORTERS[params.format].layout is not None:  # a program has its own columns
        rows.pop("columns", None)
    results = Path(snakemake.output[0]).parents[2]
    write_of_run(params.format, params.run, results, **rows, output=snakemake.output[0])
