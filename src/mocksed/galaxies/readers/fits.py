"""FITS: binary tables and tables of text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.io import fits

from mocksed.blocks import row_blocks
from mocksed.errors import UserError
from mocksed.galaxies.readers.arrays import array_table, or_null, to_arrow, unusable
from mocksed.galaxies.readers.interface import Table, stated


@contextmanager
def open_fits(path: Path, dataset: str | int | None) -> Iterator[Table]:
    """Open a table of an extension, the first one by default."""
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
            kinds = {c.name: _variable_length(c) or unusable(samples[c.name]) for c in hdu.columns}
            column_of = _fits_column

        def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
            for block in row_blocks(0, len(hdu.data), chunk_rows):
                rows = hdu.data[block]
                yield pa.table({name: column_of(rows, hdu.columns[name]) for name in columns})

        units = stated(dict(zip(hdu.columns.names, hdu.columns.units, strict=True)))
        yield array_table(hdu.columns.names, kinds, samples, read, hdu.header["NAXIS2"], units)


def _variable_length(fits_column: fits.Column) -> str:
    return "variable length" if fits_column.format.lstrip("0123456789")[:1] in "PQ" else ""


def _fits_column(rows: fits.FITS_rec, fits_column: fits.Column) -> pa.Array:
    """Return a column of some rows; a logical that is neither T nor F and an integer equal to TNULL are null."""
    stored = rows.view(np.ndarray)[fits_column.name]
    if fits_column.format.lstrip("0123456789") == "L":
        return pa.array(stored == ord("T"), mask=~np.isin(stored, (ord("T"), ord("F"))))
    values, null = np.asarray(rows[fits_column.name]), fits_column.null
    if values.dtype.kind in "SU":
        return or_null(to_arrow(values))
    if not isinstance(null, int) or stored.dtype.kind not in "iu":
        return to_arrow(values)
    # TNULL is a stored value; astropy gives the scaled one for unsigned integers, which are stored less an offset
    return to_arrow(values, (stored == null) | (values == null))


def _ascii_column(rows: fits.FITS_rec, fits_column: fits.Column) -> pa.Array:
    """Return a column of some rows of an ASCII table; a number of blanks alone, which astropy takes for 0, is null."""
    values = np.asarray(rows[fits_column.name])
    if values.dtype.kind in "SU":
        return or_null(to_arrow(values))
    text = np.char.strip(rows.view(np.ndarray)[fits_column.name])
    null = str(fits_column.null or "").strip().encode()
    return to_arrow(values, (text == b"") | (text == null))
