"""Tables of the formats that the field uses, read in chunks of Arrow columns.

Every reader offers the same: the names of the columns, why some cannot be used, and the chosen columns chunk by chunk,
so that memory does not grow with the table. Types are kept (byte order apart); missing values are null.
"""

import dataclasses
import difflib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import meta
from numpy.typing import NDArray

from mocksed.errors import UserError
from mocksed.storage import ROW_GROUP

CHUNK_ROWS = ROW_GROUP
"""Rows read at a time; 50 MB of a table of 100 columns, of which reading takes several times as much."""

ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".fits": "fits",
    ".fit": "fits",
    ".fits.gz": "fits",
    ".hdf5": "hdf5",
    ".h5": "hdf5",
    ".hdf": "hdf5",
}

_READ_ERRORS = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, RuntimeError, pa.ArrowException)
_ASTROPY_MASK, _ASTROPY_META = ".mask", ".__table_column_meta__"  # ends of names in HDF5
_PARQUET_META = b"table_meta_yaml"  # of astropy
_CSV_BLOCK = 1 << 22  # bytes; Arrow reads some tens of blocks ahead
_CSV_HEAD = 1 << 16  # bytes from which the number of lines is estimated
_CSV_PACKED = 2.5  # bytes of numbers as text in a byte of gzip


@dataclass(frozen=True)
class Table:
    """An open table.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns that can be read, in the order of the file.
    unusable : dict of str to str
        Names of the other columns, and what they are ("type list<double>").
    units : dict of str to str
        Units of the columns as the file states them; columns of which it states none are left out.
    read : callable
        ``read(columns, chunk_rows)`` yields Arrow tables of at most ``chunk_rows`` rows.
    n_rows : int
        Number of rows, known without reading them.
    counted : bool
        Whether that is what the file says; of text it is estimated.

    """

    columns: tuple[str, ...]
    read: Callable[[Sequence[str], int], Iterator[pa.Table]]
    n_rows: int
    counted: bool = True
    unusable: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_table(path: Path, file_format: str = "auto", dataset: str | int | None = None) -> Iterator[Table]:
    """Open a table to read it in chunks.

    Parameters
    ----------
    path : Path
        The file.
    file_format : str
        One of parquet, csv, fits, hdf5, or auto: by the ending of the path.
    dataset : str or int, optional
        FITS: extension (default 1); HDF5: group or table within the file.

    Yields
    ------
    Table

    Raises
    ------
    UserError
        If the file is missing, cannot be read, is of an unknown format or has two columns of the same name; also from
        ``Table.read`` when the file turns out to be damaged.

    """
    if not path.exists():
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        hint = f" Did you mean {path.parent / close[0]}?" if close else ""
        raise UserError(f"{path} does not exist (galaxies.table.path).{hint}")
    if path.is_dir():
        raise UserError(f"{path} is a folder: galaxies.table.path must be one file.")
    opener = _OPENERS[_format_of(path) if file_format == "auto" else file_format]
    with ExitStack() as stack:  # what goes wrong while the caller works is not the file's fault
        with _naming(path):
            table = stack.enter_context(opener(path, dataset))
        twice = sorted({name for name in table.columns if table.columns.count(name) > 1})
        if twice:
            raise UserError(f"{path}: more than one column is called '{twice[0]}'. Rename them: names must be unique.")
        yield dataclasses.replace(table, read=_guarded(path, table.read))


def _format_of(path: Path) -> str:
    for ending, file_format in ENDINGS.items():
        if path.name.lower().endswith(ending):
            return file_format
    raise UserError(
        f"{path}: its ending does not tell the format (known: {', '.join(ENDINGS)}). "
        "Set galaxies.table.format to parquet, csv, fits or hdf5."
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever the libraries raise for a file into one message that names it."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*truncated.*")
            yield
    except UserError:
        raise
    except (*_READ_ERRORS, UserWarning) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(
            f"cannot read {path}: {reason}. Check that the file is whole and that galaxies.table.format is right."
        ) from error


def _guarded(path: Path, read: Callable[[Sequence[str], int], Iterator[pa.Table]]) -> Callable[..., Iterator[pa.Table]]:
    def guarded(columns: Sequence[str], chunk_rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
        chunks = read(columns, chunk_rows)
        while True:  # the consumer's errors are not the file's: only the step of the reader is watched
            with _naming(path):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    return guarded


# ---------------------------------------------------------------------------------------------------- parquet


@contextmanager
def _parquet(path: Path, dataset: str | int | None) -> Iterator[Table]:
    with pq.ParquetFile(path, pre_buffer=False) as file:  # else it holds all that it has read
        schema = file.schema_arrow
        unusable = {f.name: f"type {f.type}" for f in schema if pa.types.is_nested(f.type)}

        def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
            for batch in file.iter_batches(batch_size=chunk_rows, columns=list(columns)):
                yield _without_views(pa.table(batch))

        usable = tuple(name for name in schema.names if name not in unusable)
        yield Table(usable, read, file.metadata.num_rows, unusable=unusable, units=_arrow_units(schema))


def _arrow_units(schema: pa.Schema) -> dict[str, str]:
    """Return the units in the metadata of fields, as mocksed writes them, or of the table, as astropy does."""
    units = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in schema}
    return _stated(units | _astropy_units((schema.metadata or {}).get(_PARQUET_META, b"").decode().splitlines()))


def _astropy_units(lines: Sequence[str]) -> dict[str, str]:
    """Return the units in the YAML that astropy writes of the columns of its tables."""
    columns = meta.get_header_from_yaml(lines)["datatype"] if lines else []
    return _stated({column["name"]: str(column.get("unit", "")) for column in columns})


def _stated(units: Mapping[str, str | None]) -> dict[str, str]:
    return {name: unit.strip() for name, unit in units.items() if unit and unit.strip()}


def _without_views(rows: pa.Table) -> pa.Table:
    """Return a table whose texts are of the types that all of Arrow's functions know, not views as Polars writes."""
    for i, of_column in enumerate(rows.schema):
        known = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}.get(of_column.type)
        if known is not None:
            rows = rows.set_column(i, of_column.with_type(known), rows[i].cast(known))
    return rows


# -------------------------------------------------------------------------------------------------------- csv


@contextmanager
def _csv(path: Path, dataset: str | int | None) -> Iterator[Table]:
    types: dict[str, pa.DataType] = {}
    with _open_csv(path, {}) as first:
        names = tuple(first.schema.names)

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        if not types:
            types.update(_csv_types(path))
        with _open_csv(path, types, columns) as reader:
            for batch in reader:
                for start in range(0, batch.num_rows, chunk_rows):
                    yield pa.table(batch.slice(start, chunk_rows))

    yield Table(names, read, _estimated_lines(path), counted=False)


def _estimated_lines(path: Path) -> int:
    """Return the lines that follow the first one, from the length of the first ones and the size of the file."""
    with pa.input_stream(str(path)) as file:
        head = bytes(file.read(_CSV_HEAD))
    if len(head) < _CSV_HEAD:
        return max(len(head.splitlines()) - 1, 0)
    packed = _CSV_PACKED if path.suffix == ".gz" else 1.0
    return round(packed * path.stat().st_size * head.count(b"\n") / len(head))


def _open_csv(
    path: Path, types: Mapping[str, pa.DataType], columns: Sequence[str] | None = None
) -> pa_csv.CSVStreamingReader:
    return pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(block_size=_CSV_BLOCK),
        convert_options=pa_csv.ConvertOptions(column_types=dict(types), include_columns=columns),
    )


def _csv_types(path: Path) -> dict[str, pa.DataType]:
    """Return the types that hold every value of each column.

    Arrow takes the types from the first block and stops at a value of a later one that does not fit: such a column
    gets a wider type (number, then text) and the file is read again.
    """
    types: dict[str, pa.DataType] = {}
    while True:
        with _open_csv(path, types) as reader:
            schema = reader.schema
            types = {f.name: f.type for f in schema} | types
            try:
                for _ in reader:
                    pass
            except pa.ArrowInvalid as error:
                match = re.match(r"In CSV column #(\d+): .*conversion error", str(error), re.DOTALL)
                name = schema.names[int(match[1])] if match else None
                if name is None or types[name] == pa.string():
                    raise
                types[name] = _wider(types[name])
            else:
                return types


def _wider(type_: pa.DataType) -> pa.DataType:
    """Return the next type to try for a CSV column."""
    return {pa.null(): pa.int64(), pa.int64(): pa.float64()}.get(type_, pa.string())


# ------------------------------------------------------------------------------------------------------- fits


@contextmanager
def _fits(path: Path, dataset: str | int | None) -> Iterator[Table]:
    with fits.open(path, memmap=True) as file:
        try:
            hdu = file[1 if dataset is None else dataset]
        except (KeyError, IndexError) as error:
            known = ", ".join(f"{i} ({h.name or type(h).__name__})" for i, h in enumerate(file))
            raise UserError(
                f"{path} has no extension {dataset!r}: it has {known}. Set galaxies.table.dataset."
            ) from error
        if not isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)):
            raise UserError(
                f"{path}: extension {hdu.name!r} is not a table. Set galaxies.table.dataset to one that is."
            )
        # A slice before the column: a column of the whole table would be converted at once.
        if isinstance(hdu, fits.TableHDU):  # text, of which a slice of no rows cannot be converted
            kinds, column_of = dict.fromkeys(hdu.columns.names, ""), _ascii_column
        else:
            sample = hdu.data[:0]
            kinds = {c.name: _unusable(np.asarray(sample[c.name])) or _variable_length(c) for c in hdu.columns}
            column_of = _fits_column

        def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
            for start in range(0, len(hdu.data), chunk_rows):
                rows = hdu.data[start : start + chunk_rows]
                yield pa.table({name: column_of(rows, hdu.columns[name]) for name in columns})

        units = _stated(dict(zip(hdu.columns.names, hdu.columns.units, strict=True)))
        yield _array_table(hdu.columns.names, kinds, read, hdu.header["NAXIS2"], units)


def _variable_length(fits_column: fits.Column) -> str:
    return "variable length" if fits_column.format.lstrip("0123456789")[:1] in "PQ" else ""


def _fits_column(rows: fits.FITS_rec, fits_column: fits.Column) -> pa.Array:
    """Return a column of some rows; a logical that is neither T nor F and an integer equal to TNULL are null."""
    stored = rows.view(np.ndarray)[fits_column.name]
    if fits_column.format.lstrip("0123456789") == "L":
        return pa.array(stored == ord("T"), mask=~np.isin(stored, (ord("T"), ord("F"))))
    values, null = np.asarray(rows[fits_column.name]), fits_column.null
    if not isinstance(null, int) or stored.dtype.kind not in "iu":
        return _to_arrow(values)
    # TNULL is a stored value; astropy gives the scaled one for unsigned integers, which are stored less an offset
    return _to_arrow(values, (stored == null) | (values == null))


def _ascii_column(rows: fits.FITS_rec, fits_column: fits.Column) -> pa.Array:
    """Return a column of some rows of an ASCII table; a number of blanks alone, which astropy takes for 0, is null."""
    values = np.asarray(rows[fits_column.name])
    if values.dtype.kind in "SU":
        return _to_arrow(values)
    text = np.char.strip(rows.view(np.ndarray)[fits_column.name])
    null = str(fits_column.null or "").strip().encode()
    return _to_arrow(values, (text == b"") | (text == null))


# ------------------------------------------------------------------------------------------------------- hdf5


@contextmanager
def _hdf5(path: Path, dataset: str | int | None) -> Iterator[Table]:
    with h5py.File(path, "r") as file:
        if dataset is not None and str(dataset) not in file:
            raise UserError(f"{path} has no '{dataset}': it has {', '.join(file)}. Set galaxies.table.dataset.")
        node = file[str(dataset)] if dataset is not None else file
        while isinstance(node, h5py.Group) and len(inside := _beside_meta(node)) == 1:  # the only thing inside is meant
            node = node[inside[0]]
        yield _hdf5_group(path, node) if isinstance(node, h5py.Group) else _hdf5_compound(path, node)


def _beside_meta(group: h5py.Group) -> list[str]:
    """Return the names of what is in a group, without what astropy writes of the columns of its tables."""
    return [name for name in group if not name.endswith(_ASTROPY_META)]


def _masks(kinds: Mapping[str, np.dtype]) -> dict[str, str]:
    """Return which columns have a mask, as astropy writes it beside them, and its name."""
    masks = {name: f"{name}{_ASTROPY_MASK}" for name in kinds}
    return {name: mask for name, mask in masks.items() if kinds.get(mask) == np.bool_}


def _hdf5_group(path: Path, group: h5py.Group) -> Table:
    datasets = {name: group[name] for name in _beside_meta(group) if isinstance(group[name], h5py.Dataset)}
    masks = _masks({name: item.dtype for name, item in datasets.items()})
    kinds = {name: _hdf5_kind(item) for name, item in datasets.items()}
    if not datasets:
        raise UserError(
            f"{path}: '{group.name}' holds no columns, only {', '.join(group) or 'nothing'}. "
            "Set galaxies.table.dataset to a group of columns or a table."
        )

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        of_masks = [masks[name] for name in columns if name in masks]
        lengths = {name: len(datasets[name]) for name in (*columns, *of_masks)}
        if len(set(lengths.values())) > 1:
            raise UserError(f"{path}: the columns differ in length: {lengths}. They must be the columns of one table.")
        for start in range(0, max(lengths.values()), chunk_rows):
            rows = slice(start, start + chunk_rows)
            missing = {name: datasets[masks[name]][rows] for name in columns if name in masks}
            yield pa.table({name: _hdf5_column(datasets[name], rows, missing.get(name)) for name in columns})

    n_rows = max((len(item) for item in datasets.values() if item.ndim), default=0)
    names = [name for name in datasets if name not in masks.values()]
    return _array_table(names, kinds, read, n_rows, _hdf5_units(datasets))


def _hdf5_units(datasets: Mapping[str, h5py.Dataset]) -> dict[str, str]:
    """Return the units in the attributes of datasets."""
    stated = {name: item.attrs.get("unit", item.attrs.get("units")) for name, item in datasets.items()}
    return _stated({name: _text(unit) for name, unit in stated.items() if isinstance(unit, str | bytes)})


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _hdf5_kind(dataset: h5py.Dataset) -> str:
    if dataset.ndim == 0:
        return "single value"
    if dataset.ndim == 1 and h5py.check_string_dtype(dataset.dtype):
        return ""
    return _unusable(np.empty((0, *dataset.shape[1:]), dataset.dtype))


def _hdf5_column(dataset: h5py.Dataset, rows: slice, missing: NDArray[np.bool_] | None) -> pa.Array:
    values = dataset.asstr()[rows] if h5py.check_string_dtype(dataset.dtype) else dataset[rows]
    return _to_arrow(values, missing)


def _hdf5_compound(path: Path, dataset: h5py.Dataset) -> Table:
    names = dataset.dtype.names
    if names is None or dataset.ndim != 1:
        raise UserError(
            f"{path}: '{dataset.name}' is an array, not a table. Set galaxies.table.dataset to a group of columns or "
            "a table."
        )
    text = {name for name in names if h5py.check_string_dtype(dataset.dtype[name])}
    kinds = {name: "" if name in text else _unusable(np.empty(0, dataset.dtype)[name]) for name in names}
    masks = _masks({name: dataset.dtype[name] for name in names})

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        fields = [*columns, *(masks[name] for name in columns if name in masks)]
        for start in range(0, len(dataset), chunk_rows):
            rows = dataset.fields(fields)[start : start + chunk_rows]
            missing = {name: rows[masks[name]] for name in columns if name in masks}
            yield pa.table({name: _to_arrow(rows[name], missing.get(name)) for name in columns})

    names = [name for name in names if name not in masks.values()]
    described = dataset.parent.get(f"{Path(dataset.name).name}{_ASTROPY_META}")
    units = _astropy_units([_text(line) for line in described[()]] if described is not None else [])
    return _array_table(names, kinds, read, len(dataset), units)


# ----------------------------------------------------------------------------------------------------- arrays


def _array_table(
    names: Sequence[str],
    kinds: Mapping[str, str],
    read: Callable[[Sequence[str], int], Iterator[pa.Table]],
    n_rows: int,
    units: Mapping[str, str],
) -> Table:
    """Return the table of a format made of numpy arrays, from what makes each column unusable, if anything does."""
    unusable = {name: kind for name, kind in kinds.items() if kind}
    usable = tuple(name for name in names if name not in unusable)
    return Table(usable, read, n_rows, unusable=unusable, units=units)


def _unusable(values: NDArray) -> str:
    """Return why a column cannot be used, '' if it can."""
    if values.ndim > 1:
        return f"shape (n, {str(values.shape[1:])[1:]}"
    return "" if values.dtype.kind in "biufSU" else f"type {values.dtype}"


def _to_arrow(values: NDArray, missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return an array in the byte order of the machine as an Arrow array."""
    if values.dtype.kind in "SUO":
        text = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
        return pa.array([v.rstrip() for v in text], pa.string(), mask=missing)
    return pa.array(np.ascontiguousarray(values, values.dtype.newbyteorder("=")), mask=missing)


_OPENERS: dict[str, Callable[[Path, str | int | None], AbstractContextManager[Table]]] = {
    "parquet": _parquet,
    "csv": _csv,
    "fits": _fits,
    "hdf5": _hdf5,
}
