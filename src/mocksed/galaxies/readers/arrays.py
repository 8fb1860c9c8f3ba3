"""Tables of the formats that are read as numpy arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mocksed.galaxies.readers.interface import ReadChunks, Table, masked

_SHAPE = "shape "  # how the description of a column of several values a row begins


def array_table(
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
    return masked(Table(usable, read, n_rows, True, unusable, units, vectors), flags)


def unusable(values: NDArray) -> str:
    """Return why a column cannot be used, '' if it can."""
    if values.ndim > 1:
        return f"{_SHAPE}({', '.join(map(str, ('n', *values.shape[1:])))})"
    return "" if values.dtype.kind in "biufSU" else f"type {values.dtype}"


def to_arrow(values: NDArray, missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return an array in the byte order of the machine as an Arrow array, of two dimensions as lists."""
    if values.ndim == 2:
        flat = to_arrow(values.reshape(-1), None if missing is None else missing.reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    if values.dtype.kind in "SUO":
        text = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
        return pa.array([v.rstrip() for v in text], pa.string(), mask=missing)
    return pa.array(np.ascontiguousarray(values, values.dtype.newbyteorder("=")), mask=missing)


def or_null(values: pa.Array) -> pa.Array:
    """Return text with null in place of '', which is how formats without a null for text have it."""
    return pc.if_else(pc.equal(values, ""), None, values) if pa.types.is_string(values.type) else values
