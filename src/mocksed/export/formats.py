"""Formats of tables, each a function that writes rows to a path block by block.

A column that a format cannot hold is an error. The same rows give the same bytes: no file has a time or a path in it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from mocksed import hdf5, jsontext
from mocksed.blocks import row_blocks
from mocksed.errors import UserError
from mocksed.export.source import Rows, description, unit
from mocksed.files import storage, table_metadata
from mocksed.files.columns import vo_unit

Write = Callable[[Path, Rows], None]

_FITS_CODES = {"i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}
_FITS_BLOCK = 2880
_LONGEST_TEXT = 32_767
_RECORDS = 2048  # put together at once: they fit into the cache of a processor
_LINE = 57  # bytes that are a line of 76 letters in base64


def parquet(path: Path, rows: Rows) -> None:
    """Write Parquet like that of the pipeline, with units for astropy and TOPCAT."""
    schema = _schema_with_metadata(rows)
    schema = schema.with_metadata({**schema.metadata, **table_metadata.lengths(rows.longest)})
    with storage.parquet_writer(path, schema) as writer:
        for block in rows.blocks():
            writer.write_table(block.cast(rows.schema), storage.ROW_GROUP)


def csv(path: Path, rows: Rows) -> None:
    """Write CSV: a line of names, then values; missing ones are empty."""
    _check_types(rows, "CSV", vectors=False)
    with pa.csv.CSVWriter(path, rows.schema) as writer:
        for block in rows.blocks():
            writer.write_table(block.cast(rows.schema))


def ecsv(path: Path, rows: Rows) -> None:
    """Write ECSV, astropy's text with units, descriptions and metadata; missing values are empty."""
    from astropy.table import Column, Table

    _check_types(rows, "ECSV", vectors=False)
    empty, header, types = Table(meta=dict(rows.about)), StringIO(), []
    for field in rows.schema:
        is_text, is_bool = pa.types.is_string(field.type), pa.types.is_boolean(field.type)
        values = np.empty(0, "U1" if is_text else field.type.to_pandas_dtype())
        empty[field.name] = Column(values, unit=unit(field) or None, description=description(field) or None)
        types.append(pa.field(field.name, pa.string() if is_bool else field.type))
    empty.write(header, format="ascii.ecsv", delimiter=",")
    options = pa.csv.WriteOptions(include_header=False)
    with open(path, "wb") as file:
        file.write(header.getvalue().encode())
        with pa.csv.CSVWriter(file, pa.schema(types), write_options=options) as writer:
            for block in rows.blocks():
                columns = [
                    pc.if_else(column, "True", "False") if pa.types.is_boolean(column.type) else column
                    for column in block.columns
                ]
                writer.write_table(pa.table(columns, schema=pa.schema(types)))


def hdf5_columns(path: Path, rows: Rows) -> None:
    """Write HDF5 with a dataset for each column; missing integers have the value of the attribute ``missing``."""
    dtypes = _dtypes(rows, "HDF5")
    with hdf5.created(path) as (file, check):
        datasets = {
            name: file.create_dataset(name, (rows.n_rows, *dtype.shape), dtype.base) for name, dtype in dtypes.items()
        }
        start = 0
        for block in rows.blocks():
            for name, dataset in datasets.items():
                dataset[start : start + len(block)] = _values(block[name], dtypes[name])
            start += len(block)
            check()
        for field in rows.schema:
            about = {"unit": unit(field), "description": description(field)}
            datasets[field.name].attrs.update({key: text for key, text in about.items() if text})
            if pa.types.is_integer(field.type):
                datasets[field.name].attrs["missing"] = _smallest(dtypes[field.name])
        file.attrs.update({key: jsontext.dumps(value) for key, value in rows.about.items()})


def fits(path: Path, rows: Rows) -> None:
    """Write a FITS binary table, with units, descriptions (TCOMM), and TNULL for missing integers.

    A hyphen in a name becomes an underscore: the standard wants letters, digits and underscores.
    """
    from astropy.io import fits as astropy_fits

    dtypes = _dtypes(rows, "FITS")
    columns = []
    for field in rows.schema:
        null = _smallest(dtypes[field.name]) if pa.types.is_integer(field.type) else None
        code = _fits_code(dtypes[field.name], field.type)
        name = field.name.replace("-", "_")
        columns.append(astropy_fits.Column(name, code, unit=vo_unit(unit(field)) or None, null=null))
    header = astropy_fits.BinTableHDU.from_columns(astropy_fits.ColDefs(columns), nrows=0, name="CATALOGUE").header
    header["NAXIS2"] = rows.n_rows
    header["LONGSTRN"] = "OGIP 1.0"  # descriptions take more than one card
    for i, field in enumerate(rows.schema, start=1):
        if text := description(field):
            header[f"TCOMM{i}"] = text.encode("ascii", "replace").decode()
    for key, value in rows.about.items():
        header.add_history(f"{key}: {jsontext.dumps(value)}")
    with open(path, "wb") as file:
        file.write(astropy_fits.PrimaryHDU().header.tostring().encode("ascii"))
        file.write(header.tostring().encode("ascii"))
        for records in _records(rows, dtypes):
            file.write(records.data.cast("B"))
        file.write(b"\0" * (-file.tell() % _FITS_BLOCK))


def votable(path: Path, rows: Rows) -> None:
    """Write a VOTable whose rows are binary (BINARY2, in base64)."""
    dtypes = _dtypes(rows, "VOTable")
    lengths = {name: dtype.itemsize for name, dtype in dtypes.items() if dtype.kind == "S" and name in rows.longest}
    head, _, tail = table_metadata.votable(_schema_with_metadata(rows), lengths).partition("</TABLE>")
    with open(path, "wb") as file:
        file.write(f'<?xml version="1.0" encoding="utf-8"?>\n{head}<DATA><BINARY2>'.encode())
        file.write(b'<STREAM encoding="base64">\n')
        held = b""
        for records in _records(rows, dtypes, with_flags=True):
            held += records.tobytes()
            whole = len(held) - len(held) % _LINE
            file.write(base64.encodebytes(held[:whole]))
            held = held[whole:]
        file.write(base64.encodebytes(held))
        file.write(f"</STREAM></BINARY2></DATA></TABLE>{tail}\n".encode())


def text_columns(path: Path, rows: Rows, *, missing: float) -> None:
    """Write columns of text with blanks between them and their names after a ``#``, without quotes."""
    _check_types(rows, "text", vectors=False)
    options = pa.csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    with open(path, "wb") as file:
        file.write(f"# {' '.join(rows.schema.names)}\n".encode())
        with pa.csv.CSVWriter(file, rows.schema, write_options=options) as writer:
            for block in rows.blocks():
                filled = [
                    column.fill_null(missing) if pa.types.is_floating(column.type) else column
                    for column in block.columns
                ]
                writer.write_table(pa.table(filled, schema=rows.schema))


def _schema_with_metadata(rows: Rows) -> pa.Schema:
    """Return the schema with the metadata of the run."""
    return rows.schema.with_metadata({key: jsontext.dumps(value) for key, value in rows.about.items()})


def _records(rows: Rows, dtypes: dict[str, np.dtype], with_flags: bool = False) -> Iterator[NDArray]:
    """Yield rows as records without gaps; with flags, each begins with a bit for each missing value, as in VOTables."""
    fields: list[tuple] = [(f"column {i}", dtype) for i, dtype in enumerate(dtypes.values())]
    if with_flags:
        fields.insert(0, ("missing", "u1", ((len(dtypes) + 7) // 8,)))
    for block in rows.blocks():
        columns = {f"column {i}": _values(block[name], dtype) for i, (name, dtype) in enumerate(dtypes.items())}
        if with_flags:
            missing = [block[name].is_null().to_numpy() for name in dtypes]
            columns["missing"] = np.packbits(np.stack(missing, axis=1), axis=1)
        for part in row_blocks(0, len(block), _RECORDS):
            records = np.empty(part.stop - part.start, fields)
            for name, values in columns.items():
                records[name] = values[part]
            yield records


def _dtypes(rows: Rows, format_: str) -> dict[str, np.dtype]:
    """Return the types of columns in a file: big-endian numbers, booleans as letters except in HDF5, texts as bytes."""
    _check_types(rows, format_)
    dtypes = {}
    for field in rows.schema:
        type_, shape = field.type, tuple[int, ...]()
        if pa.types.is_fixed_size_list(type_):
            type_, shape = type_.value_type, (type_.list_size,)
        if pa.types.is_string(type_):
            dtype = np.dtype(f"S{rows.longest[field.name]}")
        elif pa.types.is_boolean(type_):
            dtype = np.dtype("?" if format_ == "HDF5" else "S1")
        else:
            dtype = np.dtype(type_.to_pandas_dtype())
        dtypes[field.name] = np.dtype((dtype if format_ == "HDF5" else dtype.newbyteorder(">"), shape))
    return dtypes


def _values(column: pa.ChunkedArray, dtype: np.dtype) -> NDArray:
    """Return a column as it is in a file: missing floats are NaN, integers the smallest, booleans and texts empty."""
    array = column.combine_chunks()
    if pa.types.is_string(array.type):
        return np.array([(text or "").encode("ascii", "replace") for text in array.to_pylist()], dtype)
    if pa.types.is_boolean(array.type):
        values = array.fill_null(False).to_numpy(zero_copy_only=False)
        letters = values if dtype.kind == "b" else np.where(values, b"T", b"F")
        empty = False if dtype.kind == "b" else b"\0"
        return np.where(array.is_null().to_numpy(zero_copy_only=False), empty, letters) if array.null_count else letters
    if array.null_count and pa.types.is_integer(array.type):
        array = array.fill_null(_smallest(dtype))
    return storage.to_arrays(pa.table({"values": array}))["values"]


def _smallest(dtype: np.dtype) -> int:
    return int(np.iinfo(dtype.base).min)


def _fits_code(dtype: np.dtype, type_: pa.DataType) -> str:
    if pa.types.is_string(type_):
        return f"{dtype.itemsize}A"
    if pa.types.is_boolean(type_):
        return "L"
    return f"{dtype.shape[0] if dtype.shape else ''}{_FITS_CODES[dtype.base.str[1:]]}"


def _check_types(rows: Rows, format_: str, vectors: bool = True) -> None:
    """Stop with a `UserError` at a column that a format cannot hold."""
    for field in rows.schema:
        type_ = field.type.value_type if vectors and pa.types.is_fixed_size_list(field.type) else field.type
        known = pa.types.is_floating(type_) or pa.types.is_signed_integer(type_)
        known |= pa.types.is_boolean(field.type) or pa.types.is_string(field.type)
        if not known or rows.longest.get(field.name, 0) > _LONGEST_TEXT:
            content = "texts that long" if known else f"values of type {field.type}"
            raise UserError(
                f"{format_} cannot hold {content}, as column '{field.name}' has: choose others with --columns."
            )
