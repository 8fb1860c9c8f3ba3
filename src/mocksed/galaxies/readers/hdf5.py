"""HDF5: groups of columns and tables of compound types."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa

from mocksed import hdf5
from mocksed.blocks import row_blocks
from mocksed.errors import UserError
from mocksed.galaxies.readers.arrays import array_table, to_arrow, unusable
from mocksed.galaxies.readers.interface import READ_ERRORS, Table, astropy_units, stated

_ASTROPY_META = ".__table_column_meta__"  # how the name of what astropy writes of the columns ends


@contextmanager
def open_hdf5(path: Path, dataset: str | int | None) -> Iterator[Table]:
    """Open a group of columns or a table; of a group with a single member that member, at any depth."""
    with hdf5.opened(path) as file:
        if dataset is not None and str(dataset) not in file:
            raise UserError(f"{path} has no '{dataset}': it has {', '.join(file)}. Set galaxies.table.dataset.")
        node = file[str(dataset)] if dataset is not None else file
        seen = [node]
        while isinstance(node, h5py.Group) and len(inside := _beside_meta(node)) == 1:  # the only thing inside is meant
            if not _may_be_table(only := node[inside[0]]):
                break
            if only in seen:
                raise UserError(f"{path}: '{only.name}' is a group within itself. Set galaxies.table.dataset.")
            seen.append(node := only)
        yield _group(path, node) if isinstance(node, h5py.Group) else _compound(path, node)


def _may_be_table(node: h5py.Group | h5py.Dataset) -> bool:
    return isinstance(node, h5py.Group) or node.dtype.names is not None


def _beside_meta(group: h5py.Group) -> list[str]:
    """Return the names of what is in a group, without what astropy writes of the columns of its tables."""
    return [name for name in group if not name.endswith(_ASTROPY_META)]


def _group(path: Path, group: h5py.Group) -> Table:
    kinds: dict[str, str] = {}
    datasets: dict[str, h5py.Dataset] = {}
    for name in _beside_meta(group):
        try:
            if isinstance(item := group[name], h5py.Dataset):
                kinds[name], datasets[name] = _kind(item), item
        except READ_ERRORS as error:  # a link to nowhere, a type that numpy does not have
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
        for rows in row_blocks(0, n_rows, chunk_rows):
            yield pa.table({name: _column(datasets[name], rows) for name in columns})

    whole = {name: datasets[name] for name, length in lengths.items() if length == n_rows}
    samples = {name: np.empty((0, *item.shape[1:]), item.dtype) for name, item in whole.items()}
    return array_table(list(kinds), kinds, samples, read, n_rows, _units(datasets))


def _units(datasets: Mapping[str, h5py.Dataset]) -> dict[str, str]:
    """Return the units in the attributes of datasets."""
    attributes = {name: item.attrs.get("unit", item.attrs.get("units")) for name, item in datasets.items()}
    return stated({name: _decoded(unit) for name, unit in attributes.items() if isinstance(unit, str | bytes)})


def _decoded(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _kind(dataset: h5py.Dataset) -> str:
    if not dataset.shape:  # () of a scalar, None of nothing at all
        return "a single value for all rows"
    if dataset.ndim == 1 and h5py.check_string_dtype(dataset.dtype):
        return ""
    return unusable(np.empty((0, *dataset.shape[1:]), dataset.dtype))


def _column(dataset: h5py.Dataset, rows: slice) -> pa.Array:
    return to_arrow(dataset.asstr()[rows] if h5py.check_string_dtype(dataset.dtype) else dataset[rows])


def _compound(path: Path, dataset: h5py.Dataset) -> Table:
    names = dataset.dtype.names
    if names is None or dataset.ndim != 1:
        raise UserError(
            f"{path}: '{dataset.name}' is an array, not a table. Set galaxies.table.dataset to a group of columns or "
            "a table."
        )
    text = {name for name in names if h5py.check_string_dtype(dataset.dtype[name])}
    samples = {name: np.empty(0, dataset.dtype)[name] for name in names}
    kinds = {name: "" if name in text else unusable(samples[name]) for name in names}

    def read(columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
        for block in row_blocks(0, len(dataset), chunk_rows):
            rows = dataset.fields(list(columns))[block]
            yield pa.table({name: to_arrow(rows[name]) for name in columns})

    described = dataset.parent.get(f"{Path(dataset.name).name}{_ASTROPY_META}")
    units = astropy_units([_decoded(line) for line in described[()]] if described is not None else [])
    return array_table(names, kinds, samples, read, len(dataset), units)
