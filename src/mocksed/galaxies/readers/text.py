"""Tables as text: separated by blanks, commas or tabs, and ECSV, of which astropy reads the header."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from astropy.io import ascii as astropy_ascii
from astropy.table import meta

from mocksed.errors import UserError
from mocksed.galaxies.readers.interface import Table, masked, n_elements, stated, yaml_units

_CSV_BLOCK = 1 << 22  # bytes; Arrow reads some tens of blocks ahead
HEAD = 1 << 16  # bytes from which the number of rows is estimated
_PACKED = 2.5  # bytes of numbers as text in a byte of gzip
_NULLS = [*pa_csv.ConvertOptions().null_values, "NAN", "Null", "None", "--"]  # the last as astropy prints it


def open_separated(path: Path, delimiter: str) -> AbstractContextManager[Table]:
    """Open a table whose columns are separated by a comma, a tab or, where this is a blank, by blanks and tabs."""
    return _text(path, _layout(path, delimiter))


def open_ecsv(path: Path, dataset: str | int | None) -> AbstractContextManager[Table]:
    """Open a table of ECSV."""
    return _text(path, _ecsv_layout(path))


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
    vectors = {name: n_elements(type_) for name, type_ in layout.vectors.items()}
    flags = {name for name, type_ in layout.types.items() if type_ == pa.bool_()}
    yield masked(Table(usable, read, n_rows, False, unusable, layout.units, vectors), flags)


def _with_vectors(rows: pa.Table, vectors: Mapping[str, pa.DataType]) -> pa.Table:
    for i, name in enumerate(rows.column_names):
        if name in vectors:
            values = [json.loads(text) if text else None for text in rows[i].to_pylist()]
            rows = rows.set_column(i, name, pa.array(values, vectors[name]))
    return rows


def unpacked(path: Path) -> pa.NativeFile:
    """Open a text file, unpacked if it is one of gzip whatever its name."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return pa.input_stream(str(path), compression="gzip" if packed else None)


def _head(path: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the comments at the beginning, and the next four lines that are not empty, each with its index."""
    comments: list[str] = []
    lines: list[tuple[int, str]] = []
    with TextIOWrapper(unpacked(path), "utf-8-sig", errors="replace") as file:
        for i, line in enumerate(iter(lambda: file.readline(_CSV_BLOCK), "")):
            if "\0" in line:
                raise ValueError("it is not text")
            if line.lstrip().startswith("#"):
                comments += [] if lines else [line.strip()]
            elif line.strip():
                lines.append((i, line.rstrip("\r\n")))
            if len(lines) == 4:
                break
    if not comments and not lines:
        raise ValueError("it is empty")
    return comments, lines


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
    if delimiter == " " and comments and all(re.match(r"#\s*\d+\s+[A-Za-z]", comment) for comment in comments):
        # a line for each column
        described = astropy_ascii.read([*comments, *(line for _, line in lines[:1])], format="sextractor")
        names = described.colnames
        units = {name: str(described[name].unit or "") for name in names}
    elif first and (not any(map(_is_number, first)) or (delimiter != " " and not comments)):
        names, n_plain = first, 1
        if len(lines) > 2 and set(lines[2][1]) <= {"-", delimiter, " "}:  # VizieR has a line of units, and one below
            units, n_plain = dict(zip(names, _fields(lines[1][1], delimiter), strict=False)), 3
    else:
        comment_fields = [_fields(comment.lstrip("#"), delimiter) for comment in comments]
        names = next(
            (fields for fields in reversed(comment_fields) if fields and len(fields) == (len(first) or len(fields))), []
        )
        if not names:
            last = f" (the last one has {len(comment_fields[-1])})" if comment_fields else ""
            raise UserError(
                f"{path}: its columns have no names; expected a line of {len(first)} names before the rows, with or "
                f"without # before it{last}. Write one."
            )
    empty = len(lines) <= n_plain
    n_head = 0 if empty else lines[n_plain][0]
    return _Layout(names, delimiter, n_head, n_plain, empty, units=stated(units))


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
        name, vector = column["name"], re.fullmatch(r"(\w+)\[(\d+|null)\]", column.get("subtype", ""))
        if vector:
            n = -1 if vector[2] == "null" else int(vector[2])
            types[name], vectors[name] = pa.string(), pa.list_(_ecsv_type(vector[1]), n)
        elif "subtype" in column or column["datatype"].startswith("complex"):
            types[name], unusable[name] = pa.string(), f"type {column.get('subtype', column['datatype'])}"
        else:
            types[name] = _ecsv_type(column["datatype"])
    empty = len(lines) < 2
    n_head = 0 if empty else lines[1][0]
    return _Layout(names, delimiter, n_head, 1, empty, types, yaml_units(columns), vectors, unusable)


def _ecsv_type(datatype: str) -> pa.DataType:
    known = {"string": pa.string(), "float16": pa.float32(), "float128": pa.float64()}
    return known.get(datatype) or pa.from_numpy_dtype(np.dtype(datatype))


def _estimated_rows(path: Path, layout: _Layout) -> int:
    """Return the number of rows, from the length of the first ones and the size of the file."""
    with unpacked(path) as file:
        head = bytes(file.read(HEAD))
    lines = [line for line in head.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    if len(head) < HEAD:
        return len(lines) - layout.n_plain
    return round(packing(path) * path.stat().st_size * len(lines) / max(sum(len(line) + 1 for line in lines), 1))


def packing(path: Path) -> float:
    """Return about how many bytes of text there are in a byte of a file."""
    return _PACKED if path.suffix.lower() == ".gz" else 1.0


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
    stream, n_skipped = unpacked(path), layout.n_head
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
    """Return the types that hold every value of each column, or those of the header; all lines are read to check them.

    Arrow takes the types from the first block and stops at a value of a later one that does not fit: such a column
    gets a wider type (number, then text) and the file is read again.
    """
    types = {**layout.types, **_large_integers(path, layout)}
    while True:
        with _open_csv(path, layout, types) as reader:
            schema = reader.schema
            types = {f.name: f.type for f in schema} | types
            try:
                for rows in reader:
                    _check_lines(rows)
            except pa.ArrowInvalid as error:
                match = re.match(r"In CSV column #(\d+): .*conversion error", str(error), re.DOTALL)
                name = schema.names[int(match[1])] if match else None
                if name is None or name in layout.types or types[name] == pa.string():
                    raise
                types[name] = _wider(types[name])
            else:
                return types


def _check_lines(rows: pa.RecordBatch) -> None:
    """Stop at a text of several lines, as a quote makes of all that follows on it where it is not closed."""
    for name, values in zip(rows.schema.names, rows.columns, strict=True):
        if pa.types.is_string(values.type) and pc.any(broken := pc.match_substring(values, "\n")).as_py():
            text = values.filter(broken)[0].as_py()
            raise ValueError(
                f"column '{name}' has a text of several lines, which begins with {text[:40]!r}: a quote that is not "
                "closed, or line breaks to be removed"
            )


def _large_integers(path: Path, layout: _Layout) -> dict[str, pa.DataType]:
    """Return the type of columns with integers above 2**63, which Arrow would round to doubles, by the first block."""
    with _open_csv(path, layout, layout.types) as reader:
        doubles = [f.name for f in reader.schema if f.type == pa.float64() and f.name not in layout.types]
    if not doubles:
        return {}
    with _open_csv(path, layout, dict.fromkeys(doubles, pa.string()), doubles) as reader:
        rows = reader.read_next_batch()
    whole = [name for name in doubles if pc.all(pc.match_substring_regex(rows[name], r"^\d+$")).as_py()]
    return {name: pa.uint64() for name in whole if pc.max(pc.utf8_length(rows[name])).as_py() >= 19}


def _wider(type_: pa.DataType) -> pa.DataType:
    """Return the next type to try for a CSV column."""
    return {pa.null(): pa.int64(), pa.int64(): pa.uint64(), pa.uint64(): pa.float64()}.get(type_, pa.string())
