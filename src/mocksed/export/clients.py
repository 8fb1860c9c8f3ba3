"""Columns under the names, and in the units, of the programs that read them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from numpy.typing import NDArray

from mocksed import storage
from mocksed.export.source import Rows, Source

log = logging.getLogger("mocksed")


@dataclass(frozen=True)
class Made:
    """A column of a client, made of columns of a run.

    Attributes
    ----------
    of : tuple of str
        Columns of the run.
    make : callable
        Returns the client's column, given those as arrays of shape (n, ).
    unit : str
        As `mocksed.columns.Column` has it.
    description : str
        What it is.

    """

    of: tuple[str, ...]
    make: Callable[..., NDArray]
    unit: str = ""
    description: str = ""


Layout = Mapping[str, Made]


def rows(source: Source, layout: Layout, where: str | None = None) -> Rows:
    """Return the rows of a run as a client wants them; arguments as of `mocksed.export.source.Source.rows`."""
    needed = list(dict.fromkeys(name for made in layout.values() for name in made.of))
    plain = source.rows(needed, where)

    def made_of(block: pa.Table) -> pa.Table:
        arrays = storage.to_arrays(block)
        columns = {name: made.make(*(arrays[of] for of in made.of)) for name, made in layout.items()}
        fields = [
            pa.field(name, pa.array(columns[name][:0]).type, metadata=_about(made)) for name, made in layout.items()
        ]
        return pa.Table.from_arrays([pa.array(values) for values in columns.values()], schema=pa.schema(fields))

    empty = made_of(pa.Table.from_batches([], plain.schema))
    texts = dict.fromkeys((field.name for field in empty.schema if pa.types.is_string(field.type)), 16)

    def blocks() -> Iterator[pa.Table]:
        yield from map(made_of, plain.blocks())

    return Rows(empty.schema, plain.n_rows, plain.about, texts, blocks)


def _about(made: Made) -> dict[str, str]:
    return {"unit": made.unit, "description": made.description}
