"""VOTable, which astropy reads as a whole."""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import votable
from astropy.table import Column

from mocksed.blocks import row_blocks
from mocksed.errors import UserError
from mocksed.galaxies.readers import text
from mocksed.galaxies.readers.arrays import array_table, or_null, to_arrow, unusable
from mocksed.galaxies.readers.interface import Table, stated

_CELL = 11  # bytes of a number in double precision, in base64


@contextmanager
def open_votable(path: Path, dataset: str | int | None) -> Iterator[Table]:
    """Open a table of a VOTable, the first one by default."""
    tables = list(parse(path).iter_tables())
    chosen = [t for i, t in enumerate(tables) if dataset in (i, t.ID, t.name) or (dataset is None and i == 0)]
    if not chosen:
        names = [str(name) for i, t in enumerate(tables) for name in (i, t.ID, t.name) if name is not None]
        known = ", ".join(dict.fromkeys(names))
        raise UserError(f"{path} has no table {dataset!r}: it has {known}. Set galaxies.table.dataset.")
    fields = chosen[0].fields
    rows = chosen[0].to_table(use_names_over_ids=True)
    strings = {name for name, f in zip(rows.colnames, fields, strict=True) if f.datatype in ("char", "unicodeChar")}
    samples = {name: np.asarray(rows[name][:0]) for name in rows.colnames}
    kinds = {name: "variable length" if array.dtype == object else unusable(array) for name, array in samples.items()}
    kinds |= {name: "" for name in strings if samples[name].ndim == 1}

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        for block in row_blocks(0, len(rows), chunk_rows):
            chunk = rows[block]
            yield pa.table({name: _column(chunk[name]) for name in columns})

    yield array_table(rows.colnames, kinds, samples, read, len(rows), units_of(fields))


def count_rows(path: Path, dataset: str | int | None) -> tuple[int, bool]:
    """Return the rows that the head of a VOTable states, else an estimate from its size, and which of these it is."""
    with text.unpacked(path) as file:
        head = bytes(file.read(text.HEAD))
    attribute = re.search(rb"<(?:\w+:)?TABLE\b[^>]*\bnrows\s*=\s*[\"'](\d+)", head) if dataset in (None, 0) else None
    if attribute:
        return int(attribute[1]), True
    if n_rows := head.count(b"<TR>"):
        row = (len(head) - head.index(b"<TR>")) / n_rows
    else:
        row = _CELL * max(len(re.findall(rb"<(?:\w+:)?FIELD\b", head)), 1)
    return round(text.packing(path) * path.stat().st_size / row), False


def _column(values: Column) -> pa.Array:
    missing = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    return or_null(to_arrow(np.asarray(values), missing))


def parse(source: Path | BytesIO) -> votable.tree.VOTableFile:
    """Return a VOTable as astropy has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each deviation from the standard that astropy makes up for
        return votable.parse(source)


def units_of(fields: Iterable[votable.tree.Field]) -> dict[str, str]:
    """Return the units of the fields of a VOTable."""
    return stated({f.name: str(f.unit) for f in fields if f.unit is not None})
