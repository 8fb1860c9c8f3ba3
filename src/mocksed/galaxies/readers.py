"""Tables of the formats that the field uses, read in chunks of Arrow columns.

Every reader offers the same: the names of the columns, why some cannot be used, and the chosen columns chunk by chunk,
so that memory does not grow with the table (but for VOTables, which astropy reads as a whole). Types are kept (byte
order apart); missing values are null. Several files of the same columns are one table.
"""

import csv
import dataclasses
import difflib
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import reduce
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from astropy.io import ascii as astropy_ascii
from astropy.io import fits, votable
from astropy.table import Column, meta
from numpy.typing import NDArray

from mocksed import hdf5
from mocksed.errors import UserError
from mocksed.galaxies.files import Files, files_of
from mocksed.storage import ROW_GROUP

CHUNK_ROWS = ROW_GROUP
"""Rows read at a time; 50 MB of a table of 100 columns, of which reading takes several times as much."""

FORMATS = {
    "parquet": (".parquet", ".pq"),
    "arrow": (".feather", ".arrow", ".ipc"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "ascii": (".cat", ".dat", ".txt", ".fout"),
    "ecsv": (".ecsv",),
    "votable": (".vot", ".votable", ".xml"),
    "fits": (".fits", ".fit"),
    "hdf5": (".hdf5", ".h5", ".hdf"),
}
"""Formats and the endings by which they are known, in capitals or not."""

GZIPPED = ("csv", "tsv", "ascii", "ecsv", "votable", "fits")
"""Formats of which ``.gz`` may follow the ending."""

_READ_ERRORS = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, RuntimeError),
    *(pa.ArrowException, meta.YamlParseError),
)
_ASTROPY_MASK, _ASTROPY_META = ".mask", ".__table_column_meta__"  # ends of names in HDF5
_PARQUET_META, _PARQUET_VOTABLE = b"table_meta_yaml", b"IVOA.VOTable-Parquet.content"  # of astropy, of the IVOA
_CSV_BLOCK = 1 << 22  # bytes; Arrow reads some tens of blocks ahead
_TEXT_HEAD = 1 << 16  # bytes from which the number of rows is estimated
_VOTABLE_CELL = 11  # bytes of a number in double precision, in base64
_TEXT_PACKED = 2.5  # bytes of numbers as text in a byte of gzip
_NULLS = [*pa_csv.ConvertOptions().null_values, "NAN", "Null", "None", "--"]  # the last as astropy prints it
_SHAPE = "shape "  # how the description of a column of several values a row begins
_ELEMENT = re.compile(r"(?P<column>.+)\[(?P<first>\d+)(?::(?P<stop>\d+))?\]")

ReadChunks = Callable[[Sequence[str], int], Iterator[pa.Table]]


@dataclass(frozen=True)
class Table:
    """An open table; ``name in table`` tells whether it has a column, an element or a sum of elements of that name.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns that can be read, in the order of the file.
    read : callable
        ``read(columns, chunk_rows)`` yields Arrow tables of at most ``chunk_rows`` rows. Beside columns it takes
        elements of columns of several values a row, ``flux[2]``, and sums of them: ``flux[0]+flux[4]``, ``flux[0:3]``
        (elements 0, 1 and 2).
    n_rows : int
        Number of rows, known without reading them.
    counted : bool
        Whether that is what the file says; of text it is estimated.
    unusable : dict of str to str
        Names of the other columns, and what they are ("type list<double>").
    units : dict of str to str
        Units of the columns as the file states them; columns of which it states none are left out.
    vectors : dict of str to int
        Those of the other columns whose elements can be read, and their numbers of elements, 0 where that is for each
        row to say.

    """

    columns: tuple[str, ...]
    read: ReadChunks
    n_rows: int
    counted: bool = True
    unusable: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, int] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.columns or (bool(_elements(name)) and not self.why_not(name))

    def why_not(self, name: str) -> str:
        """Return why a column, an element or a sum of the file cannot be read, '' also if it does not look like one."""
        if name in self.columns:
            return ""
        if what := self.unusable.get(name):
            instead = f"an element of it, such as '{name}[0]'" if name in self.vectors else "another one"
            return f"is of {what}, not one number, flag or text per row. Name {instead}, or give it columns of its own."
        for column, span in _elements(name):
            if column not in self.vectors:
                close = difflib.get_close_matches(column, self.vectors, n=1, cutoff=0.5)
                hint = f" Did you mean '{close[0]}'?" if close else ""
                what = "has one value per row" if column in self.columns else self.unusable.get(column, "is not there")
                return f"asks for elements, but '{column}' {what}.{hint}"
            n = self.vectors[column]
            if not span or (n and span.stop > n):
                return f"asks for elements {span.start} to {span.stop - 1} of '{column}', which has {_span(range(n))}."
        return ""

    def unit(self, name: str) -> str:
        """Return the unit that the file states of a column, an element or a sum, '' if it states none."""
        units = {self.units.get(column, "") for column in [name, *(column for column, _ in _elements(name))]} - {""}
        return units.pop() if len(units) == 1 else ""


def _elements(name: str) -> list[tuple[str, range]]:
    """Return the columns and elements of which a name is the sum, none if it is another name."""
    terms = [_ELEMENT.fullmatch(term.strip()) for term in name.split("+")]
    return [
        (term["column"].strip(), range(int(term["first"]), int(term["stop"] or int(term["first"]) + 1)))
        for term in terms
        if term and all(terms)
    ]


def _span(elements: range) -> str:
    return f"elements {elements.start} to {elements.stop - 1}"


@contextmanager
def open_table(path: Path | Files, file_format: str = "auto", dataset: str | int | None = None) -> Iterator[Table]:
    """Open a table to read it in chunks.

    Parameters
    ----------
    path : Path or Files
        The file, a pattern of several (see `mocksed.galaxies.files`), or several; their rows follow each other.
    file_format : str
        One of `FORMATS`, or auto: by the ending of the path.
    dataset : str or int, optional
        FITS: extension (default 1); HDF5: group or table within the file; VOTable: ID, name or number of the table
        (default 0).

    Yields
    ------
    Table

    Raises
    ------
    UserError
        If a file is missing, cannot be read, is of an unknown format, has two columns of the same name or other columns
        than the first one; also from ``Table.read`` when the file turns out to be damaged.

    """
    files = files_of(path)
    if len(files) > 1:
        table = _several(files, lambda file: _open_file(file, file_format, dataset))
        yield dataclasses.replace(table, read=_with_elements(table))
        return
    with _open_file(files[0], file_format, dataset) as table:
        if not (table.columns or table.unusable):
            raise UserError(f"{files[0]} holds no columns. Set galaxies.table.dataset to where they are.")
        yield dataclasses.replace(table, read=_with_elements(table))


def count_rows(path: Path | Files, file_format: str = "auto", dataset: str | int | None = None) -> tuple[int, bool]:
    """Return the number of rows of a table, and whether that is what it says, not an estimate; quick for any format.

    For the parameters and errors see `open_table`.
    """
    files = files_of(path)
    if {_format_of(file) if file_format == "auto" else file_format for file in files} == {"votable"}:
        counts = [_votable_rows(file, dataset) for file in files]
        return sum(n for n, _ in counts), all(counted for _, counted in counts)
    with open_table(path, file_format, dataset) as table:
        return table.n_rows, table.counted


@contextmanager
def _open_file(path: Path, file_format: str, dataset: str | int | None) -> Iterator[Table]:
    if not path.exists():
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        hint = f" Did you mean {path.parent / close[0]}?" if close else ""
        raise UserError(f"{path} does not exist (galaxies.table.path).{hint}")
    if path.is_dir():
        raise UserError(f"{path} is a folder: galaxies.table.path must be a file, or a pattern such as {path}/*.hdf5.")
    opener = _OPENERS[_format_of(path) if file_format == "auto" else file_format]
    with ExitStack() as stack:  # what goes wrong while the caller works is not the file's fault
        with _naming(path):
            table = stack.enter_context(opener(path, dataset))
        names = (*table.columns, *table.unusable)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(f"{path}: more than one column is called '{twice[0]}'. Rename them: names must be unique.")
        yield dataclasses.replace(table, read=_guarded(path, table.read))


def _format_of(path: Path) -> str:
    name = path.name.lower()
    for file_format, endings in FORMATS.items():
        if name.endswith(endings) or (file_format in GZIPPED and name.removesuffix(".gz").endswith(endings)):
            return file_format
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise UserError(
        f"{path}: its ending does not tell the format (known: {known}; .gz may follow those of {', '.join(GZIPPED)}). "
        f"Set galaxies.table.format to one of {', '.join(FORMATS)}."
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
        reason = str((isinstance(error, OSError) and error.strerror) or error).rstrip(".")
        raise UserError(
            f"cannot read {path}: {reason}. Check that the file is whole and that galaxies.table.format is right."
        ) from error


def _guarded(path: Path, read: ReadChunks) -> ReadChunks:
    def guarded(columns: Sequence[str], chunk_rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
        chunks = read(columns, chunk_rows)
        while True:  # the consumer's errors are not the file's: only the step of the reader is watched
            with _naming(path):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    return guarded


# --------------------------------------------------------------------------------------------------- elements


def _with_elements(table: Table) -> ReadChunks:
    """Return the table's ``read`` that also knows elements of columns, and sums of them."""

    def read(columns: Sequence[str], chunk_rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
        terms = {name: _elements(name) for name in columns if name not in table.columns}
        if not terms:
            yield from table.read(columns, chunk_rows)
            return
        of_terms = [column for name in terms for column, _ in terms[name]]
        stored = dict.fromkeys([*(name for name in columns if name not in terms), *of_terms])
        for chunk in table.read(list(stored), chunk_rows):
            yield pa.table({name: _sum(chunk, terms[name]) if name in terms else chunk[name] for name in columns})

    return read


def _sum(chunk: pa.Table, terms: Iterable[tuple[str, range]]) -> pa.ChunkedArray:
    """Return a sum of elements in double precision, null where one is null; a single element as it is."""
    parts = [_element(chunk[column], i) for column, span in terms for i in span]
    return parts[0] if len(parts) == 1 else reduce(pc.add, [part.cast(pa.float64()) for part in parts])


def _element(column: pa.ChunkedArray, i: int) -> pa.ChunkedArray:
    """Return an element of each row, null in rows that are shorter."""
    if not pa.types.is_fixed_size_list(column.type):
        column = pc.if_else(pc.greater(pc.list_value_length(column), i), column, pa.scalar(None, column.type))
    return pc.list_element(column, i)


# ------------------------------------------------------------------------------------------------------ masks


def _masked(table: Table, flags: Collection[str]) -> Table:
    """Return a table where what astropy masks is null.

    Formats without a null of their own get a column of flags from it, ``z.mask`` beside ``z``, true where there is no
    value; ``flags`` are the columns of flags.
    """
    masks = {name: f"{name}{_ASTROPY_MASK}" for name in (*table.columns, *table.vectors)}
    masks = {name: mask for name, mask in masks.items() if mask in flags}

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        stored = dict.fromkeys([*columns, *(masks[name] for name in columns if name in masks)])
        for chunk in table.read(list(stored), chunk_rows):
            yield pa.table({
                name: _hide(chunk[name], chunk[masks[name]]) if name in masks else chunk[name] for name in columns
            })  # fmt: skip

    return dataclasses.replace(
        table,
        columns=tuple(name for name in table.columns if name not in masks.values()),
        unusable={name: what for name, what in table.unusable.items() if name not in masks.values()},
        read=read,
    )


def _hide(values: pa.ChunkedArray, mask: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_fixed_size_list(values.type):
        flat = _hide(*(pa.chunked_array([part.combine_chunks().flatten()]) for part in (values, mask)))
        return pa.chunked_array([pa.FixedSizeListArray.from_arrays(flat.combine_chunks(), values.type.list_size)])
    return pc.if_else(mask, pa.scalar(None, values.type), values)


# ---------------------------------------------------------------------------------------------- several files


def _several(files: Sequence[Path], opened: Callable[[Path], AbstractContextManager[Table]]) -> Table:
    """Return the table of several files, of which only one at a time is open."""
    tables: dict[Path, Table] = {}
    for file in files:
        with opened(file) as table:
            if table.columns or table.unusable:  # else a file for which there was nothing to write
                tables[file] = dataclasses.replace(table, read=_closed)  # which would keep what h5py has opened alive
    if not tables:
        raise UserError(f"{files[0]} and {len(files) - 1} more hold no columns (galaxies.table.path).")
    (first_file, first), *others = tables.items()
    for file, table in others:
        _check_same_columns(first_file, first, file, table)

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        schema = _common_schema({file: _schema(opened(file), columns) for file in tables})
        for file in tables:
            with opened(file) as table:
                for chunk in table.read(columns, chunk_rows):
                    yield chunk.select(columns).cast(schema)

    return dataclasses.replace(
        first,
        read=read,
        n_rows=sum(table.n_rows for table in tables.values()),
        counted=all(table.counted for table in tables.values()),
        unusable={name: what for table in tables.values() for name, what in table.unusable.items()},
    )


def _closed(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
    raise AssertionError("the file is closed")


def _check_same_columns(first_file: Path, first: Table, file: Path, table: Table) -> None:
    of_first, of_other = _kinds(first), _kinds(table)
    for name in {**of_first, **of_other}:
        one, other = (kinds.get(name, t.unusable.get(name)) for kinds, t in ((of_first, first), (of_other, table)))
        if one is None or other is None:
            without, having = (first_file, file) if one is None else (file, first_file)
            raise UserError(
                f"{without} has no column '{name}', which {having} has. Files of one table (galaxies.table.path) must "
                "have the same columns."
            )
        if one != other:
            raise UserError(
                f"column '{name}' is of {other} in {file}, but of {one} in {first_file}. Files of one table "
                "(galaxies.table.path) must agree."
            )


def _kinds(table: Table) -> dict[str, str]:
    """Return what columns that can be read are; beside numbers of elements and units, types may differ."""
    units = {name: f" in {unit}" for name, unit in table.units.items()}
    kinds = dict.fromkeys(table.columns, "one value per row") | {name: table.unusable[name] for name in table.vectors}
    return {name: f"{kind}{units.get(name, '')}" for name, kind in kinds.items()}


def _schema(opened: AbstractContextManager[Table], columns: Sequence[str]) -> pa.Schema | None:
    """Return the types of some columns of a file, none if it has no rows."""
    with opened as table:
        chunk = next(table.read(columns, 1), None)
    return None if chunk is None else chunk.select(columns).schema.remove_metadata()


def _common_schema(schemas: Mapping[Path, pa.Schema | None]) -> pa.Schema | None:
    """Return types that hold the values of all files."""
    common: pa.Schema | None = None
    first_file: Path | None = None
    for file, schema in schemas.items():
        if common is None or schema is None:
            common, first_file = (common, first_file) if schema is None else (schema, file)
            continue
        for i, (one, other) in enumerate(zip(common, schema, strict=True)):
            try:
                both = [pa.schema([one.remove_metadata()]), pa.schema([other.remove_metadata()])]
                common = common.set(i, pa.unify_schemas(both, promote_options="permissive").field(0))
            except pa.ArrowException:
                raise UserError(
                    f"column '{one.name}' is of type {other.type} in {file}, but {one.type} in {first_file}. Files of "
                    "one table (galaxies.table.path) must agree."
                ) from None
    return common


# ---------------------------------------------------------------------------------------------------- parquet


@contextmanager
def _parquet(path: Path, dataset: str | int | None) -> Iterator[Table]:
    with pq.ParquetFile(path, pre_buffer=False) as file:  # else it holds all that it has read
        schema = file.schema_arrow

        def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
            for batch in file.iter_batches(batch_size=chunk_rows, columns=list(columns)):
                yield _without_views(pa.table(batch))

        yield _arrow_table(schema, read, file.metadata.num_rows)


@contextmanager
def _arrow(path: Path, dataset: str | int | None) -> Iterator[Table]:
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

        yield _arrow_table(schema, read, sum(batch.num_rows for batch in batches([0])))


def _arrow_table(schema: pa.Schema, read: ReadChunks, n_rows: int) -> Table:
    nested = [field for field in schema if pa.types.is_nested(field.type)]
    unusable = {field.name: f"type {field.type}" for field in nested}
    usable = tuple(name for name in schema.names if name not in unusable)
    vectors = {field.name: _n_elements(field.type) for field in nested if _is_vector(field.type)}
    flags = {field.name for field in schema if _value_type(field.type) == pa.bool_()}
    return _masked(Table(usable, read, n_rows, True, unusable, _arrow_units(schema), vectors), flags)


def _is_vector(type_: pa.DataType) -> bool:
    of = _value_type(type_)
    return of != type_ and (pa.types.is_floating(of) or pa.types.is_integer(of))


def _value_type(type_: pa.DataType) -> pa.DataType:
    """Return the type of the elements of a list, another type as it is."""
    is_list = pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)
    return type_.value_type if is_list else type_


def _n_elements(type_: pa.DataType) -> int:
    return type_.list_size if pa.types.is_fixed_size_list(type_) else 0


def _arrow_units(schema: pa.Schema) -> dict[str, str]:
    """Return the units in the metadata of fields, as mocksed writes them, or of the table, as others do."""
    of_table = schema.metadata or {}
    units = _stated({field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in schema})
    units |= _astropy_units(of_table.get(_PARQUET_META, b"").decode().splitlines())
    if described := of_table.get(_PARQUET_VOTABLE):
        units |= _votable_units(_parse_votable(BytesIO(described)).get_first_table().fields)
    return units


def _astropy_units(lines: Sequence[str]) -> dict[str, str]:
    """Return the units in the YAML that astropy writes of the columns of its tables."""
    return _yaml_units(meta.get_header_from_yaml(lines)["datatype"] if lines else [])


def _yaml_units(columns: Iterable[Mapping[str, Any]]) -> dict[str, str]:
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


# ------------------------------------------------------------------------------------------------------- text


@dataclass(frozen=True)
class _Layout:
    """How a text file is laid out.

    Attributes
    ----------
    names : list of str
        Names of the columns.
    delimiter : str
        What separates them; a blank stands for any number of blanks and tabs.
    n_head, n_plain : int
        Lines before the rows, and how many of them are neither empty nor comments.
    empty : bool
        Whether there are no rows.
    types : dict of str to pyarrow.DataType
        Types that the header states; the others are found from the rows.
    units, vectors, unusable : dict
        See `Table`; the elements of a vector are written as JSON.

    """

    names: list[str]
    delimiter: str
    n_head: int
    n_plain: int
    empty: bool
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, pa.DataType] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _text(path: Path, layout: _Layout) -> Iterator[Table]:
    types: dict[str, pa.DataType] = {}

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        if layout.empty:
            return
        if not types:
            types.update(_csv_types(path, layout))
        with _open_csv(path, layout, types, columns) as reader:
            for batch in reader:
                for start in range(0, batch.num_rows, chunk_rows):
                    yield _with_vectors(pa.table(batch.slice(start, chunk_rows)), layout.vectors)

    n_rows = 0 if layout.empty else _estimated_rows(path, layout)
    unusable = {**layout.unusable, **{name: f"type {type_}" for name, type_ in layout.vectors.items()}}
    usable = tuple(name for name in layout.names if name not in unusable)
    vectors = {name: _n_elements(type_) for name, type_ in layout.vectors.items()}
    flags = {name for name, type_ in layout.types.items() if type_ == pa.bool_()}
    yield _masked(Table(usable, read, n_rows, False, unusable, layout.units, vectors), flags)


def _with_vectors(rows: pa.Table, vectors: Mapping[str, pa.DataType]) -> pa.Table:
    for i, name in enumerate(rows.column_names):
        if name in vectors:
            values = [json.loads(text) if text else None for text in rows[i].to_pylist()]
            rows = rows.set_column(i, name, pa.array(values, vectors[name]))
    return rows


def _stream(path: Path) -> pa.NativeFile:
    """Open a text file, unpacked if it is one of gzip whatever its name."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return pa.input_stream(str(path), compression="gzip" if packed else None)


def _head(path: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the comments at the beginning, and the next four lines with something in them and how many are before."""
    comments: list[str] = []
    others: list[tuple[int, str]] = []
    with TextIOWrapper(_stream(path), "utf-8-sig", errors="replace") as file:
        for i, line in enumerate(iter(lambda: file.readline(_CSV_BLOCK), "")):
            if "\0" in line:
                raise ValueError("it is not text")
            if line.lstrip().startswith("#"):
                comments += [] if others else [line.strip()]
            elif line.strip():
                others.append((i, line.rstrip("\r\n")))
            if len(others) == 4:
                break
    if not comments and not others:
        raise ValueError("it is empty")
    return comments, others


def _layout(path: Path, delimiter: str) -> _Layout:
    """Return the layout of a text file whose columns are named by its first line, or by a comment before the rows.

    Raises
    ------
    UserError
        If there are no names.

    """
    comments, lines = _head(path)
    first = _fields(lines[0][1], delimiter) if lines else []
    if delimiter == " " and len(first) == 1 and "," in first[0]:
        raise UserError(f"{path}: its columns are separated by commas. Set galaxies.table.format to csv.")
    units: dict[str, str] = {}
    n_plain = 0
    if delimiter == " " and comments and re.match(r"#\s*1\s+[A-Za-z]", comments[0]):  # a line for each column
        described = astropy_ascii.read([*comments, *(line for _, line in lines[:1])], format="sextractor")
        names = described.colnames
        units = {name: str(described[name].unit or "") for name in names}
    elif first and (not any(map(_is_number, first)) or (delimiter != " " and not comments)):
        names, n_plain = first, 1
        if len(lines) > 2 and set(lines[2][1]) <= {"-", delimiter, " "}:  # VizieR has a line of units, and one below
            units, n_plain = dict(zip(names, _fields(lines[1][1], delimiter), strict=False)), 3
    else:
        found = [_fields(comment.lstrip("#"), delimiter) for comment in comments]
        names = next(
            (fields for fields in reversed(found) if fields and len(fields) == (len(first) or len(fields))), []
        )
        if not names:
            last = f" (the last one has {len(found[-1])})" if found else ""
            raise UserError(
                f"{path}: nothing names its columns. It has {len(first)}, and expected is a line before the rows, with "
                f"or without # before it, of as many names{last}. Write one."
            )
    empty = len(lines) <= n_plain
    n_head = 0 if empty else lines[n_plain][0]
    return _Layout(names, delimiter, n_head, n_plain, empty, units=_stated(units))


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        line = line.replace("\t", " ").strip()
    return [text.strip() for text in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in _NULLS
    return True


def _ecsv_layout(path: Path) -> _Layout:
    """Return the layout of an ECSV file, of which astropy reads the header."""
    comments, lines = _head(path)
    if not comments or not re.match(r"# %ECSV \d", comments[0]):
        raise ValueError("its first line is not '# %ECSV 1.0'")
    header = meta.get_header_from_yaml([comment[2:] for comment in comments[1:]])
    delimiter, columns = header.get("delimiter", " "), header["datatype"]
    names = _fields(lines[0][1], delimiter) if lines else []
    if names != [column["name"] for column in columns]:
        raise ValueError(f"its columns are {names}, but its header describes {[column['name'] for column in columns]}")
    types, vectors, unusable = {}, {}, {}
    for column in columns:
        name, of_elements = column["name"], re.fullmatch(r"(\w+)\[(\d+|null)\]", column.get("subtype", ""))
        if of_elements:
            n = -1 if of_elements[2] == "null" else int(of_elements[2])
            types[name], vectors[name] = pa.string(), pa.list_(_ecsv_type(of_elements[1]), n)
        elif "subtype" in column or column["datatype"].startswith("complex"):
            types[name], unusable[name] = pa.string(), f"type {column.get('subtype', column['datatype'])}"
        else:
            types[name] = _ecsv_type(column["datatype"])
    empty = len(lines) < 2
    n_head = 0 if empty else lines[1][0]
    return _Layout(names, delimiter, n_head, 1, empty, types, _yaml_units(columns), vectors, unusable)


def _ecsv_type(datatype: str) -> pa.DataType:
    known = {"string": pa.string(), "float16": pa.float32(), "float128": pa.float64()}
    return known.get(datatype) or pa.from_numpy_dtype(np.dtype(datatype))


def _estimated_rows(path: Path, layout: _Layout) -> int:
    """Return the number of rows, from the length of the first ones and the size of the file."""
    with _stream(path) as file:
        head = bytes(file.read(_TEXT_HEAD))
    lines = [line for line in head.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    if len(head) < _TEXT_HEAD:
        return len(lines) - layout.n_plain
    return round(_packed(path) * path.stat().st_size * len(lines) / max(sum(len(line) + 1 for line in lines), 1))


def _packed(path: Path) -> float:
    """Return about how many bytes of text there are in a byte of a file."""
    return _TEXT_PACKED if path.suffix.lower() == ".gz" else 1.0


class _Squeezer:
    """Leaves one blank where there are blanks or tabs and removes comments, of a text that comes in blocks."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, block: bytes) -> bytes:
        text = self._rest + bytes(block)
        end = text.rfind(b"\n") + 1 if len(block) else len(text)
        self._rest = text[end:]
        lines = map(_squeezed, text[:end].splitlines())
        return b"".join(line + b"\n" for line in lines if line and not line.startswith(b"#"))


def _squeezed(line: bytes) -> bytes:
    if b'"' not in line:
        return b" ".join(line.split())
    parts = line.strip().split(b'"')
    parts[::2] = [re.sub(rb"\s+", b" ", part) for part in parts[::2]]  # the others are within quotes
    return b'"'.join(parts)


def _open_csv(
    path: Path, layout: _Layout, types: Mapping[str, pa.DataType], columns: Sequence[str] | None = None
) -> pa_csv.CSVStreamingReader:
    stream, n_skipped = _stream(path), layout.n_head
    if layout.delimiter == " ":
        stream, n_skipped = pa.TransformInputStream(stream, _Squeezer()), layout.n_plain
    return pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(block_size=_CSV_BLOCK, column_names=layout.names, skip_rows=n_skipped),
        parse_options=pa_csv.ParseOptions(delimiter=layout.delimiter),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict(types), include_columns=columns, null_values=_NULLS, strings_can_be_null=True
        ),
    )


def _csv_types(path: Path, layout: _Layout) -> dict[str, pa.DataType]:
    """Return the types that hold every value of each column.

    Arrow takes the types from the first block and stops at a value of a later one that does not fit: such a column
    gets a wider type (number, then text) and the file is read again.
    """
    types = dict(layout.types)
    while len(layout.types) < len(layout.names):
        with _open_csv(path, layout, types) as reader:
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
                break
    return types


def _wider(type_: pa.DataType) -> pa.DataType:
    """Return the next type to try for a CSV column."""
    return {pa.null(): pa.int64(), pa.int64(): pa.float64()}.get(type_, pa.string())


# ---------------------------------------------------------------------------------------------------- votable


@contextmanager
def _votable(path: Path, dataset: str | int | None) -> Iterator[Table]:
    tables = list(_parse_votable(path).iter_tables())
    chosen = [t for i, t in enumerate(tables) if dataset in (i, t.ID, t.name) or (dataset is None and i == 0)]
    if not chosen:
        names = [str(name) for i, t in enumerate(tables) for name in (i, t.ID, t.name) if name is not None]
        known = ", ".join(dict.fromkeys(names))
        raise UserError(f"{path} has no table {dataset!r}: it has {known}. Set galaxies.table.dataset.")
    fields = chosen[0].fields
    rows = chosen[0].to_table(use_names_over_ids=True)
    text = {name for name, f in zip(rows.colnames, fields, strict=True) if f.datatype in ("char", "unicodeChar")}
    samples = {name: np.asarray(rows[name][:0]) for name in rows.colnames}
    kinds = {
        name: ""
        if name in text and sample.ndim == 1
        else "variable length"
        if sample.dtype == object
        else _unusable(sample)
        for name, sample in samples.items()
    }

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        for start in range(0, len(rows), chunk_rows):
            chunk = rows[start : start + chunk_rows]
            yield pa.table({name: _votable_column(chunk[name]) for name in columns})

    yield _array_table(rows.colnames, kinds, samples, read, len(rows), _votable_units(fields))


def _votable_rows(path: Path, dataset: str | int | None) -> tuple[int, bool]:
    """Return the rows that the head of a VOTable states, else an estimate from its size, and which of these it is."""
    with _naming(path), _stream(path) as file:
        head = bytes(file.read(_TEXT_HEAD))
    stated = re.search(rb"<(?:\w+:)?TABLE\b[^>]*\bnrows\s*=\s*[\"'](\d+)", head) if dataset in (None, 0) else None
    if stated:
        return int(stated[1]), True
    if n_rows := head.count(b"<TR>"):
        row = (len(head) - head.index(b"<TR>")) / n_rows
    else:
        row = _VOTABLE_CELL * max(len(re.findall(rb"<(?:\w+:)?FIELD\b", head)), 1)
    return round(_packed(path) * path.stat().st_size / row), False


def _votable_column(values: Column) -> pa.Array:
    missing = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    return _or_null(_to_arrow(np.asarray(values), missing))


def _parse_votable(source: Path | BytesIO) -> votable.tree.VOTableFile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each deviation from the standard that astropy makes up for
        return votable.parse(source)


def _votable_units(fields: Iterable[votable.tree.Field]) -> dict[str, str]:
    return _stated({f.name: str(f.unit) for f in fields if f.unit is not None})


# ------------------------------------------------------------------------------------------------------- fits


@contextmanager
def _fits(path: Path, dataset: str | int | None) -> Iterator[Table]:
    with fits.open(path, memmap=True) as file:
        try:
            hdu = file[1 if dataset is None else dataset]
        except (KeyError, IndexError) as error:
            known = ", ".join(f"{i} ({h.name or type(h).__name__})" for i, h in enumerate(file))
            if dataset is None:
                raise ValueError(f"it has no table, only {known}") from error
            raise UserError(
                f"{path} has no extension {dataset!r}: it has {known}. Set galaxies.table.dataset."
            ) from error
        if not isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)):
            raise UserError(
                f"{path}: extension {hdu.name!r} is not a table. Set galaxies.table.dataset to one that is."
            )
        # A slice before the column: a column of the whole table would be converted at once.
        if isinstance(hdu, fits.TableHDU):  # text, of which a slice of no rows cannot be converted
            kinds, samples, column_of = dict.fromkeys(hdu.columns.names, ""), {}, _ascii_column
        else:
            samples = {c.name: np.asarray(hdu.data[:0][c.name]) for c in hdu.columns}
            kinds = {c.name: _variable_length(c) or _unusable(samples[c.name]) for c in hdu.columns}
            column_of = _fits_column

        def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
            for start in range(0, len(hdu.data), chunk_rows):
                rows = hdu.data[start : start + chunk_rows]
                yield pa.table({name: column_of(rows, hdu.columns[name]) for name in columns})

        units = _stated(dict(zip(hdu.columns.names, hdu.columns.units, strict=True)))
        yield _array_table(hdu.columns.names, kinds, samples, read, hdu.header["NAXIS2"], units)


def _variable_length(fits_column: fits.Column) -> str:
    return "variable length" if fits_column.format.lstrip("0123456789")[:1] in "PQ" else ""


def _fits_column(rows: fits.FITS_rec, fits_column: fits.Column) -> pa.Array:
    """Return a column of some rows; a logical that is neither T nor F and an integer equal to TNULL are null."""
    stored = rows.view(np.ndarray)[fits_column.name]
    if fits_column.format.lstrip("0123456789") == "L":
        return pa.array(stored == ord("T"), mask=~np.isin(stored, (ord("T"), ord("F"))))
    values, null = np.asarray(rows[fits_column.name]), fits_column.null
    if values.dtype.kind in "SU":
        return _or_null(_to_arrow(values))
    if not isinstance(null, int) or stored.dtype.kind not in "iu":
        return _to_arrow(values)
    # TNULL is a stored value; astropy gives the scaled one for unsigned integers, which are stored less an offset
    return _to_arrow(values, (stored == null) | (values == null))


def _ascii_column(rows: fits.FITS_rec, fits_column: fits.Column) -> pa.Array:
    """Return a column of some rows of an ASCII table; a number of blanks alone, which astropy takes for 0, is null."""
    values = np.asarray(rows[fits_column.name])
    if values.dtype.kind in "SU":
        return _or_null(_to_arrow(values))
    text = np.char.strip(rows.view(np.ndarray)[fits_column.name])
    null = str(fits_column.null or "").strip().encode()
    return _to_arrow(values, (text == b"") | (text == null))


# ------------------------------------------------------------------------------------------------------- hdf5


@contextmanager
def _hdf5(path: Path, dataset: str | int | None) -> Iterator[Table]:
    with hdf5.opened(path) as file:
        if dataset is not None and str(dataset) not in file:
            raise UserError(f"{path} has no '{dataset}': it has {', '.join(file)}. Set galaxies.table.dataset.")
        node = file[str(dataset)] if dataset is not None else file
        while isinstance(node, h5py.Group) and len(inside := _beside_meta(node)) == 1:  # the only thing inside is meant
            if not _may_be_table(only := node[inside[0]]):
                break
            node = only
        yield _hdf5_group(path, node) if isinstance(node, h5py.Group) else _hdf5_compound(path, node)


def _may_be_table(node: h5py.Group | h5py.Dataset) -> bool:
    return isinstance(node, h5py.Group) or node.dtype.names is not None


def _beside_meta(group: h5py.Group) -> list[str]:
    """Return the names of what is in a group, without what astropy writes of the columns of its tables."""
    return [name for name in group if not name.endswith(_ASTROPY_META)]


def _hdf5_group(path: Path, group: h5py.Group) -> Table:
    kinds: dict[str, str] = {}
    datasets: dict[str, h5py.Dataset] = {}
    for name in _beside_meta(group):
        try:
            if isinstance(item := group[name], h5py.Dataset):
                kinds[name], datasets[name] = _hdf5_kind(item), item
        except _READ_ERRORS as error:  # a link to nowhere, a type that numpy does not have
            kinds[name] = f"a kind that cannot be read ({error})"
    lengths = {name: len(item) for name, item in datasets.items() if item.shape}
    if len(group) and not lengths:
        raise UserError(
            f"{path}: '{group.name}' holds no columns, only {', '.join(group)}. "
            "Set galaxies.table.dataset to a group of columns or a table."
        )
    counts = Counter(lengths.values())
    n_rows = max(counts, key=lambda length: (counts[length], length), default=0)
    kinds |= {
        name: f"length {length} (most columns have {n_rows} rows)"
        for name, length in lengths.items()
        if length != n_rows
    }

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        for start in range(0, n_rows, chunk_rows):
            rows = slice(start, start + chunk_rows)
            yield pa.table({name: _hdf5_column(datasets[name], rows) for name in columns})

    whole = {name: datasets[name] for name, length in lengths.items() if length == n_rows}
    samples = {name: np.empty((0, *item.shape[1:]), item.dtype) for name, item in whole.items()}
    return _array_table(list(kinds), kinds, samples, read, n_rows, _hdf5_units(datasets))


def _hdf5_units(datasets: Mapping[str, h5py.Dataset]) -> dict[str, str]:
    """Return the units in the attributes of datasets."""
    stated = {name: item.attrs.get("unit", item.attrs.get("units")) for name, item in datasets.items()}
    return _stated({name: _decoded(unit) for name, unit in stated.items() if isinstance(unit, str | bytes)})


def _decoded(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _hdf5_kind(dataset: h5py.Dataset) -> str:
    if not dataset.shape:  # () of a scalar, None of nothing at all
        return "a single value for all rows"
    if dataset.ndim == 1 and h5py.check_string_dtype(dataset.dtype):
        return ""
    return _unusable(np.empty((0, *dataset.shape[1:]), dataset.dtype))


def _hdf5_column(dataset: h5py.Dataset, rows: slice) -> pa.Array:
    return _to_arrow(dataset.asstr()[rows] if h5py.check_string_dtype(dataset.dtype) else dataset[rows])


def _hdf5_compound(path: Path, dataset: h5py.Dataset) -> Table:
    names = dataset.dtype.names
    if names is None or dataset.ndim != 1:
        raise UserError(
            f"{path}: '{dataset.name}' is an array, not a table. Set galaxies.table.dataset to a group of columns or "
            "a table."
        )
    text = {name for name in names if h5py.check_string_dtype(dataset.dtype[name])}
    samples = {name: np.empty(0, dataset.dtype)[name] for name in names}
    kinds = {name: "" if name in text else _unusable(samples[name]) for name in names}

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        for start in range(0, len(dataset), chunk_rows):
            rows = dataset.fields(list(columns))[start : start + chunk_rows]
            yield pa.table({name: _to_arrow(rows[name]) for name in columns})

    described = dataset.parent.get(f"{Path(dataset.name).name}{_ASTROPY_META}")
    units = _astropy_units([_decoded(line) for line in described[()]] if described is not None else [])
    return _array_table(names, kinds, samples, read, len(dataset), units)


# ----------------------------------------------------------------------------------------------------- arrays


def _array_table(
    names: Sequence[str],
    kinds: Mapping[str, str],
    samples: Mapping[str, NDArray],
    read: ReadChunks,
    n_rows: int,
    units: Mapping[str, str],
) -> Table:
    """Return the table of a format made of numpy arrays.

    Parameters
    ----------
    names : sequence of str
        Names of all columns.
    kinds : dict of str to str
        What makes each column unusable, '' if nothing does.
    samples : dict of str to ndarray
        Arrays of no rows with the shapes and types of columns.
    read, n_rows, units
        See `Table`.

    """
    unusable = {name: kinds[name] for name in names if kinds[name]}
    usable = tuple(name for name in names if name not in unusable)
    vectors = {name: samples[name].shape[1] for name, what in unusable.items() if what.startswith(_SHAPE)}
    vectors = {name: n for name, n in vectors.items() if samples[name].ndim == 2 and samples[name].dtype.kind in "iuf"}
    flags = {name for name, sample in samples.items() if sample.dtype == np.bool_}
    return _masked(Table(usable, read, n_rows, True, unusable, units, vectors), flags)


def _unusable(values: NDArray) -> str:
    """Return why a column cannot be used, '' if it can."""
    if values.ndim > 1:
        return f"{_SHAPE}({', '.join(map(str, ('n', *values.shape[1:])))})"
    return "" if values.dtype.kind in "biufSU" else f"type {values.dtype}"


def _to_arrow(values: NDArray, missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return an array in the byte order of the machine as an Arrow array, of two dimensions as lists."""
    if values.ndim == 2:
        flat = _to_arrow(values.reshape(-1), None if missing is None else missing.reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    if values.dtype.kind in "SUO":
        text = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
        return pa.array([v.rstrip() for v in text], pa.string(), mask=missing)
    return pa.array(np.ascontiguousarray(values, values.dtype.newbyteorder("=")), mask=missing)


def _or_null(values: pa.Array) -> pa.Array:
    """Return text with null in place of '', which is how formats without a null for text have it."""
    return pc.if_else(pc.equal(values, ""), None, values) if pa.types.is_string(values.type) else values


_OPENERS: dict[str, Callable[[Path, str | int | None], AbstractContextManager[Table]]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "csv": lambda path, _: _text(path, _layout(path, ",")),
    "tsv": lambda path, _: _text(path, _layout(path, "\t")),
    "ascii": lambda path, _: _text(path, _layout(path, " ")),
    "ecsv": lambda path, _: _text(path, _ecsv_layout(path)),
    "votable": _votable,
    "fits": _fits,
    "hdf5": _hdf5,
}
