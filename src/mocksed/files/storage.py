"""Files that appear whole or not at all, and whose damage is noticed when they are read.

Everything is written under a temporary name in the folder of the target and renamed into place: a job that dies
leaves nothing that a rerun would trust, and two jobs that write the same file do not mix. Checksums cover all that is
read: values, names and metadata.
"""

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mocksed import __version__, atomic, digest, jsontext
from mocksed.errors import UserError
from mocksed.files import table_metadata
from mocksed.files.columns import Column, column

ROW_GROUP = 65_536

PARQUET = {"compression": "zstd", "write_page_checksum": True}
"""How files are written: a checksum of each page tells a damaged file from another result."""


def to_table(
    columns: Mapping[str, object],
    metadata: Mapping[str, object] | None = None,
    describe: Callable[[str], Column | None] = column,
) -> pa.Table:
    """Return an Arrow table of arrays whose fields carry unit and description.

    Parameters
    ----------
    columns : mapping of str to array
        One-dimensional arrays, Arrow arrays, or two-dimensional arrays (stored as fixed-size lists). A NaN in a known
        column becomes null: missing is null, never a magic number.
    metadata : mapping of str to object, optional
        Stored in the schema, each value as JSON.
    describe : callable
        What is known of a column by its name: for files whose columns are not those of the catalogue.

    """
    arrays, fields = [], []
    for name, values in columns.items():
        known = describe(name)
        array = _to_arrow(values, known.type if known else None)
        about = {"unit": known.unit, "description": known.description} if known else None
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=about))
    about_file = {"mocksed_version": jsontext.dumps(__version__)}
    about_file |= {key: jsontext.dumps(value) for key, value in (metadata or {}).items()}
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=about_file))


def with_metadata(table: pa.Table, metadata: Mapping[str, object]) -> pa.Table:
    """Return a table with further metadata."""
    encoded = {key.encode(): jsontext.dumps(value).encode() for key, value in metadata.items()}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **encoded})


def _to_arrow(values: object, type_: pa.DataType | None) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    array = np.asarray(values)
    if array.ndim == 2:
        value_type = type_.value_type if type_ is not None else None
        return pa.FixedSizeListArray.from_arrays(_flat_to_arrow(array.reshape(-1), value_type, None), array.shape[1])
    missing = np.isnan(array) if type_ is not None and array.dtype.kind == "f" else None
    return _flat_to_arrow(array, type_, missing)


def _flat_to_arrow(array: NDArray, type_: pa.DataType | None, missing: NDArray[np.bool_] | None) -> pa.Array:
    """Return what `pyarrow.array` would, which imports pandas.

    Without pandas a job starts with 0.3 s less of CPU time and 17 MB less (benchmarks/start.txt).
    """
    as_it_is = array.dtype.kind in "biuf" and array.dtype.isnative
    if not as_it_is or (type_ is not None and array.dtype != type_.to_pandas_dtype()):
        return pa.array(array, type=type_, mask=missing)
    type_ = type_ or pa.from_numpy_dtype(array.dtype)
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    stored = np.packbits(array, bitorder="little") if array.dtype.kind == "b" else np.ascontiguousarray(array)
    return pa.Array.from_buffers(type_, len(array), [valid, pa.py_buffer(stored)])


def write_table(
    path: Path | str, columns: Mapping[str, object] | pa.Table, metadata: Mapping[str, object] | None = None
) -> None:
    """Write columns (see `to_table`) or a finished Arrow table to a Parquet file, whole or not at all."""
    table = columns if isinstance(columns, pa.Table) else to_table(columns, metadata)
    schema = table_metadata.with_lengths(table)
    with atomic.replacing(path) as temporary, parquet_writer(temporary, schema) as writer:
        writer.write_table(table, ROW_GROUP)


@contextmanager
def parquet_writer(path: Path | str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Yield a writer of a Parquet file that tells units, with the checksums that `open_table` verifies."""
    with pq.ParquetWriter(os.path.abspath(path), table_metadata.described(schema), **PARQUET) as writer:
        yield writer
    _seal(path)


# A Parquet file ends in its footer (names, types, metadata, and where everything is), its length and the letters PAR1.
# The format has a checksum for each page, but none for the footer: it is put between the last page and the footer,
# where no reader looks, after a mark by which files that have one are known.
_MARK = b"mocksed footer"
_CRC = struct.Struct("<I")
_END = struct.Struct("<I4s")


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """Return where the footer of an open Parquet file begins, and all from there to the end of the file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _END.size, 0))
    end = file.read()
    length, letters = _END.unpack(end) if len(end) == _END.size else (0, b"")
    start = size - _END.size - length
    if letters != b"PAR1" or start < len(letters):
        raise ValueError("it is not a Parquet file, or its end is missing")
    file.seek(start)
    return start, file.read()


def _seal(path: Path | str) -> None:
    """Put the checksum of its footer into a Parquet file."""
    with open(path, "r+b") as file:
        start, footer = _footer(file)
        file.seek(start)
        file.write(_MARK + _CRC.pack(zlib.crc32(footer)) + footer)


def _check_footer(path: Path | str) -> None:
    """Stop with a ValueError unless the footer of a Parquet file is as it was written, where it has a checksum."""
    with open(path, "rb") as file:
        start, footer = _footer(file)
        file.seek(max(start - _CRC.size - len(_MARK), 0))
        mark, crc = file.read(len(_MARK)), file.read(_CRC.size)
    if mark == _MARK and _CRC.unpack(crc)[0] != zlib.crc32(footer):
        raise ValueError("it is damaged: its footer has another checksum")


@contextmanager
def open_table(path: Path | str) -> Iterator[pq.ParquetFile]:
    """Yield an open Parquet file that the pipeline wrote: damage is noticed in any part that is read.

    Raises
    ------
    UserError
        If it is missing, truncated or damaged, also of what is found while it is read.

    """
    try:
        _check_footer(path)
        # with pre_buffer it holds all that it has read; a relative path that begins with s3: would be taken for a URL
        with pq.ParquetFile(os.path.abspath(path), pre_buffer=False, page_checksum_verification=True) as file:
            yield file
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def read_table(path: Path | str, columns: Sequence[str] | None = None, optional: Sequence[str] = ()) -> pa.Table:
    """Read a Parquet file that the pipeline wrote.

    Parameters
    ----------
    path : path
        The file.
    columns : sequence of str, optional
        What to read, by default all.
    optional : sequence of str
        Further columns to read where they are there.

    Raises
    ------
    UserError
        If it is missing, truncated or lacks a column.

    """
    with open_table(path) as file:
        names = None
        if columns is not None:
            check_columns(path, file, columns)
            names = [*columns, *(name for name in optional if name in file.schema_arrow.names)]
        return file.read(names)


def find_rows(path: Path | str, key: str, values: NDArray, columns: Sequence[str]) -> pa.Table:
    """Return the rows of a Parquet file whose key is among some values, in the order of the file.

    A row group whose statistics rule them out is not read; of one that has none of them the keys alone are read.

    Parameters
    ----------
    path : path
        A file that the pipeline wrote.
    key : str
        Column of integers.
    values : ndarray of shape (n, )
        The values, sorted.
    columns : sequence of str
        What to read.

    Raises
    ------
    UserError
        As for `read_table`.

    """
    with open_table(path) as file:
        check_columns(path, file, [key, *columns])
        leaf = file.schema.names.index(key)
        tables = [file.schema_arrow.empty_table().select(columns)]
        for group in range(file.num_row_groups):
            limits = file.metadata.row_group(group).column(leaf).statistics
            if limits is not None and limits.has_min_max:
                first, last = np.searchsorted(values, limits.min), np.searchsorted(values, limits.max, side="right")
                if first == last:
                    continue
            rows = np.flatnonzero(np.isin(to_arrays(file.read_row_group(group, [key]))[key], values))
            if len(rows):
                tables.append(file.read_row_group(group, columns).select(columns).take(rows))
        return pa.concat_tables(tables)


def check_columns(path: Path | str, file: pq.ParquetFile, columns: Sequence[str]) -> None:
    """Stop with a `UserError` if an open file lacks a column."""
    for name in columns:
        if name not in file.schema_arrow.names:
            raise UserError(f"{path} has no column '{name}'. Remove it and run again: it will be made again.")


def read_arrays(path: Path | str, columns: Sequence[str], optional: Sequence[str] = ()) -> dict[str, NDArray]:
    """Read columns of a Parquet file as arrays (see `read_table`); null becomes NaN in columns of floats."""
    return to_arrays(read_table(path, columns, optional=optional))


def to_arrays(table: pa.Table) -> dict[str, NDArray]:
    """Return the columns of a table as numpy arrays, lists of fixed size as two-dimensional ones."""
    return {name: _to_numpy(table[name].combine_chunks()) for name in table.column_names}


def _to_numpy(array: pa.Array) -> NDArray:
    if isinstance(array, pa.ChunkedArray):  # an empty column stays chunked
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_fixed_size_list(array.type):
        return _to_numpy(array.flatten()).reshape(-1, array.type.list_size)
    # what to_numpy does, which imports pandas (see _flat_to_arrow)
    if pa.types.is_floating(array.type) and array.null_count:
        nan = _flat_to_arrow(np.full(1, np.nan, array.type.to_pandas_dtype()), None, None)[0]
        return np.from_dlpack(array.fill_null(nan)).copy()
    if pa.types.is_boolean(array.type) and not array.null_count:
        return np.from_dlpack(array.cast(pa.uint8())).astype(bool)
    if (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)) and not array.null_count:
        return np.from_dlpack(array)
    return array.to_numpy(zero_copy_only=False)


def count_rows(path: Path | str) -> int:
    """Return the number of rows of a Parquet file that the pipeline wrote; errors as in `metadata`."""
    with open_table(path) as file:
        return int(file.metadata.num_rows)


def metadata(path: Path | str) -> dict[str, Any]:
    """Return the metadata that `write_table` stored with a file.

    Raises
    ------
    UserError
        If it is missing or damaged.

    """
    with open_table(path) as file:
        return table_metadata.own_metadata(file.schema_arrow)


def read_json(path: Path | str) -> Any:
    """Read JSON that the pipeline wrote, without its checksum.

    Raises
    ------
    UserError
        If it is missing or damaged.

    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.pop(_CHECKSUM, None) != digest.checksum(content):
            raise ValueError("it is damaged: its content has another checksum")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return content


_CHECKSUM = "checksum"


def _unreadable(path: Path | str, error: Exception) -> UserError:
    return UserError(f"cannot read {path}: {error}. Remove it and run again: it will be made again.")


def write_json(path: Path | str, content: object) -> None:
    """Write JSON with sorted keys, whole or not at all; NaN and infinity become null.

    A mapping gets a checksum of what is in it, under the key ``checksum``.
    """
    content = plain(content)
    if isinstance(content, dict):
        content[_CHECKSUM] = digest.checksum(content)
    with atomic.replacing(path) as temporary:
        temporary.write_text(jsontext.dumps(content, indent=2, sort_keys=True) + "\n")


def plain(value: Any) -> Any:
    """Return a value as JSON would give it back: lists for arrays and tuples, null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def shard_bounds(n_rows: int, n_shards: int) -> list[tuple[int, int]]:
    """Return the (start, stop) rows of each shard: contiguous, in order, lengths differing by at most one."""
    return [(i * n_rows // n_shards, (i + 1) * n_rows // n_shards) for i in range(n_shards)]
