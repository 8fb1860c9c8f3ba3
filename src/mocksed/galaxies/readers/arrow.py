"""Parquet, and Arrow's own format, which Feather is too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mocksed.galaxies.readers import votable
from mocksed.galaxies.readers.interface import ReadChunks, Table, astropy_units, masked, n_elements, stated

_PARQUET_META, _PARQUET_VOTABLE = b"table_meta_yaml", b"IVOA.VOTable-Parquet.content"  # of astropy, of the IVOA


@contextmanager
def open_parquet(path: Path, dataset: str | int | None) -> Iterator[Table]:
    """Open a file of Parquet."""
    # with pre_buffer it holds all that it has read; a relative s3:x.parquet would be taken for a URL
    with pq.ParquetFile(path.absolute(), pre_buffer=False) as file:
        schema = file.schema_arrow

        def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
            for batch in file.iter_batches(batch_size=chunk_rows, columns=list(columns)):
                yield _without_views(pa.table(batch))

        yield _table(schema, read, file.metadata.num_rows)


@contextmanager
def open_arrow(path: Path, dataset: str | int | None) -> Iterator[Table]:
    """Open a file of Arrow's IPC format, which Feather is too, or a stream of it."""
    with pa.memory_map(str(path)) as file:
        is_stream = file.read(6) != b"ARROW1"

        def batches(columns: Sequence[int] | None) -> Iterator[pa.RecordBatch]:
            options = pa.ipc.IpcReadOptions(included_fields=columns)
            file.seek(0)
            if is_stream:
                yield from pa.ipc.open_stream(file, options=options)
            else:
                reader = pa.ipc.open_file(file, options=options)
                yield from (reader.get_batch(i) for i in range(reader.num_record_batches))

        file.seek(0)
        schema = pa.ipc.open_stream(file).schema if is_stream else pa.ipc.open_file(file).schema

        def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
            for batch in batches([schema.get_field_index(name) for name in columns]):
                for start in range(0, batch.num_rows, chunk_rows):
                    yield _without_views(pa.table(batch.slice(start, chunk_rows)))

        yield _table(schema, read, sum(batch.num_rows for batch in batches([0])))


def _table(schema: pa.Schema, read: ReadChunks, n_rows: int) -> Table:
    unusable = {field.name: f"type {field.type}" for field in schema if not _is_value(field.type)}
    usable = tuple(name for name in schema.names if name not in unusable)
    vectors = {field.name: n_elements(field.type) for field in schema if _is_vector(field.type)}
    flags = {field.name for field in schema if _value_type(field.type) == pa.bool_()}
    return masked(Table(usable, read, n_rows, True, unusable, _units(schema), vectors), flags)


def _is_value(type_: pa.DataType) -> bool:
    """Return whether a type is that of numbers, texts, dates or times, as such or as categories."""
    if pa.types.is_dictionary(type_):
        return _is_value(type_.value_type)
    of = (
        pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_string,
        pa.types.is_large_string, pa.types.is_string_view, pa.types.is_timestamp, pa.types.is_date, pa.types.is_time,
        pa.types.is_null,
    )  # fmt: skip
    return any(is_of(type_) for is_of in of)


def _is_vector(type_: pa.DataType) -> bool:
    of = _value_type(type_)
    return of != type_ and (pa.types.is_floating(of) or pa.types.is_integer(of))


def _value_type(type_: pa.DataType) -> pa.DataType:
    """Return the type of the elements of a list, another type as it is."""
    is_list = pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)
    return type_.value_type if is_list else type_


def _units(schema: pa.Schema) -> dict[str, str]:
    """Return the units in the metadata of fields, as mocksed writes them, or of the table, as others do."""
    metadata = schema.metadata or {}
    units: dict[str, str] = {}
    if described := metadata.get(_PARQUET_VOTABLE):
        units |= votable.units_of(votable.parse(BytesIO(described)).get_first_table().fields)
    units |= astropy_units(metadata.get(_PARQUET_META, b"").decode().splitlines())
    units |= stated({field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in schema})
    return units


def _without_views(rows: pa.Table) -> pa.Table:
    """Return a table whose texts are of the type that all of Arrow's functions know, not views as Polars writes."""
    for i, field in enumerate(rows.schema):
        if pa.types.is_string_view(field.type):
            rows = rows.set_column(i, field.with_type(pa.large_string()), rows[i].cast(pa.large_string()))
    return rows
