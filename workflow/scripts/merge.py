"""Merge the neighbours that were found in each tree shard."""

from mocksed import decomposition, storage
from mocksed.jobs import job

with job(snakemake.log[0]):
    parts = [storage.to_arrays(storage.read_table(path)) for path in snakemake.input.parts]
    youngest_age = [storage.read_json(path)["youngest_age"] for path in snakemake.input.trees]
    columns = decomposition.merge_columns(parts, youngest_age, snakemake.params.k)
    storage.write_table(snakemake.output[0], columns, storage.metadata(snakemake.input.parts[0]))
