"""The interface of all readers."""

import dataclasses
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import meta

from mocksed.files.storage import ROW_GROUP

CHUNK_ROWS = ROW_GROUP
"""Rows read at a time; 50 MB of a table of 100 columns, of which reading takes several times as much."""

READ_ERRORS = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, RuntimeError),
    *(pa.ArrowException, meta.YamlParseError),
)
_MASK = ".mask"  # how the names of columns of flags end that astropy writes
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
        return name in self.columns or (bool(elements(name)) and not self.why_not(name))

    def why_not(self, name: str) -> str:
        """Return why a column, an element or a sum of the file cannot be read, '' also if it does not look like one."""
        if name in self.columns:
            return ""
        if what := self.unusable.get(name):
            instead = f"an element of it, such as '{name}[0]'" if name in self.vectors else "another one"
            return f"is of {what}, not one number, flag or text per row. Name {instead}, or give it columns of its own."
        for column, span in elements(name):
            if column not in self.vectors:
                close = difflib.get_close_matches(column, self.vectors, n=1, cutoff=0.5)
                hint = f" Did you mean '{close[0]}'?" if close else ""
                what = "has one value per row" if column in self.columns else self.unusable.get(column, "is not there")
                return f"asks for elements, but '{column}' {what}.{hint}"
            if not span:
                return f"asks for elements {span.start}:{span.stop}, which are none (the last number does not count)."
            if 0 < self.vectors[column] < span.stop:
                return f"asks for {_span(span)} of '{column}', which has {_span(range(self.vectors[column]))}."
        return ""

    def unit(self, name: str) -> str:
        """Return the unit that the file states of a column, an element or a sum, '' if it states none."""
        units = {self.units.get(column, "") for column in [name, *(column for column, _ in elements(name))]} - {""}
        return units.pop() if len(units) == 1 else ""


def elements(name: str) -> list[tuple[str, range]]:
    """Return the columns and elements of which a name is the sum, none if it is another name."""
    terms = [_ELEMENT.fullmatch(term.strip()) for term in name.split("+")]
    return [
        (term["column"].strip(), range(int(term["first"]), int(term["stop"] or int(term["first"]) + 1)))
        for term in terms
        if term and all(terms)
    ]


def _span(elements: range) -> str:
    first, last = elements[0], elements[-1]
    return f"element {first}" if first == last else f"elements {first} to {last}"


def with_elements(table: Table) -> ReadChunks:
    """Return the table's ``read`` that also knows elements of columns, and sums of them."""

    def read(columns: Sequence[str], chunk_rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
        terms = {name: elements(name) for name in columns if name not in table.columns}
        if not terms:
            yield from table.read(columns, chunk_rows)
            return
        summed = [column for name in terms for column, _ in terms[name]]
        stored = dict.fromkeys([*(name for name in columns if name not in terms), *summed])
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


def masked(table: Table, flags: Collection[str]) -> Table:
    """Return a table where what astropy masks is null.

    Formats without a null of their own get a column of flags from it, ``z.mask`` beside ``z``, true where there is no
    value; ``flags`` are the columns of flags.
    """
    masks = {name: f"{name}{_MASK}" for name in (*table.columns, *table.vectors)}
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


def n_elements(type_: pa.DataType) -> int:
    """Return the number of elements of a list in each row, 0 where it is for the row to say."""
    return type_.list_size if pa.types.is_fixed_size_list(type_) else 0


def astropy_units(lines: Sequence[str]) -> dict[str, str]:
    """Return the units in the YAML that astropy writes of the columns of its tables."""
    return yaml_units(meta.get_header_from_yaml(lines)["datatype"] if lines else [])


def yaml_units(columns: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the units of columns as astropy describes them."""
    return stated({column["name"]: str(column.get("unit", "")) for column in columns})


def stated(units: Mapping[str, str | None]) -> dict[str, str]:
    """Return the units that are any."""
    return {name: unit.strip() for name, unit in units.items() if unit and unit.strip()}
