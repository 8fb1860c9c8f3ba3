"""Reading the galaxies of a catalogue, all of them or an even sample, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mocksed.files import memory_map, provenance, storage
from mocksed.realisations import COLUMN

Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class Sample:
    """The galaxies and parent points that the diagnostics use.

    Every value is an array with one element per galaxy or parent point, missing values NaN.
    """

    galaxies: Arrays
    """Columns of the catalogue; with those of several realisations, ``realisation`` is one of them."""
    parent: Arrays = field(default_factory=dict)
    """Columns of the star-forming parent catalogue; empty where it was not asked for."""
    n_catalogue: int = 0
    """Number of rows of the whole catalogue."""

    @property
    def n_realisations(self) -> int:
        """The number of realisations that the galaxies are of."""
        return len(np.unique(self.galaxies[COLUMN])) if COLUMN in self.galaxies else 1

    @property
    def star_forming(self) -> Arrays:
        """The columns of the star-forming galaxies."""
        return select(self.galaxies, ~self.galaxies["quiescent"])

    @property
    def quiescent(self) -> Arrays:
        """The columns of the quiescent galaxies."""
        return select(self.galaxies, self.galaxies["quiescent"])


def select(arrays: Arrays, rows: NDArray | slice) -> Arrays:
    """Return the rows, a mask, indices or a slice, of every column."""
    return {name: values[rows] for name, values in arrays.items()}


def check(paths: Sequence[Path | str], about: Mapping[str, Any], sps: Mapping[str, Any]) -> None:
    """Stop with a `UserError` unless files are the catalogue of a run, in the order of its shards.

    Parameters
    ----------
    paths : sequence of path
        The shards.
    about, sps : mappings
        As for `mocksed.files.provenance.expected_of_catalogue`.

    """
    for number, path in enumerate(paths):
        provenance.check(path, provenance.expected_of_catalogue(about, sps, (number, len(paths))))


def count_rows(paths: Sequence[Path | str]) -> int:
    """Return the number of rows of files, from their metadata alone.

    Raises
    ------
    UserError
        If a file is missing or damaged.

    """
    return sum(memory_map.read(path).n_rows if _is_mapped(path) else storage.count_rows(path) for path in paths)


def read(paths: Sequence[Path | str], columns: Sequence[str], max_rows: int) -> Arrays:
    """Return columns of files, at most ``max_rows`` rows of them.

    Of more rows an even sample is taken by a hash of the galaxy id (of the row where there is none), so that it is
    the same for any sharding, and of the same galaxies in all realisations. Memory is bounded by the sample, not by the
    catalogue.

    Parameters
    ----------
    paths : sequence of path
        The shards, in order: Parquet, or memory-mapped tables (`mocksed.files.memory_map`).
    columns : sequence of str
        Columns to read. Null becomes NaN.
    max_rows : int
        Largest number of rows returned.

    Returns
    -------
    dict of str to ndarray of shape (n, )
        In the order of the realisations and galaxy ids, the same for any sharding; where there are none, in that of
        the files. With several realisations, ``realisation`` is one of the columns.

    Raises
    ------
    UserError
        If a file is missing, damaged, or lacks a column.

    """
    n_rows, n_realisations = count_rows(paths), _count_realisations(paths)
    # Four standard deviations more than asked for, so that cutting to max_rows practically always leaves max_rows.
    n_kept = max_rows // n_realisations
    threshold = (n_kept + 4.0 * np.sqrt(n_kept)) * n_realisations / max(n_rows, 1) if n_rows > max_rows else np.inf
    parts, first_row = [], 0
    for path in paths:
        for arrays, ids in _batches(path, [*columns, COLUMN] if n_realisations > 1 else columns, first_row):
            first_row += len(ids)
            arrays = arrays | {_ID: ids}
            if np.isfinite(threshold):
                rank = _rank(ids)
                arrays = select(arrays | {_RANK: rank}, rank < threshold)
            parts.append(arrays)
    if not parts:
        return {name: np.empty(0, bool if name == "quiescent" else float) for name in columns}
    sample = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ids = sample.pop(_ID)
    sample = select(sample, np.lexsort((ids, sample.get(COLUMN, np.zeros(len(ids))))))
    if _RANK in sample:
        rank = sample.pop(_RANK)
        of_first = rank[: len(rank) // n_realisations]  # the others have the same galaxies
        if len(of_first) > n_kept:
            sample = select(sample, rank <= np.partition(of_first, n_kept - 1)[n_kept - 1])
    return sample


def _count_realisations(paths: Sequence[Path | str]) -> int:
    """Return the number of realisations in files, 1 where they do not tell them apart."""
    if not paths or _is_mapped(paths[0]):
        return 1
    return len(storage.metadata(paths[0]).get("realisations", [0]))


def thin(arrays: Arrays, max_rows: int) -> Arrays:
    """Return an even sample, by a hash of the row, of at most ``max_rows`` rows."""
    n_rows = len(next(iter(arrays.values()), ()))
    if n_rows <= max_rows:
        return arrays
    return select(arrays, _lowest(_rank(np.arange(n_rows)), max_rows))


_ID, _RANK = "id of the galaxy or row", "rank in the sample"


def _rank(ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a hash of each id, uniform between 0 and 1."""
    from mocksed import rng  # with numba; most runs are plotted whole

    return rng.uniforms(0, rng.Stage.DIAGNOSTICS, ids, 1)[:, 0]


def _lowest(rank: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return the rows of the n lowest ranks, in the order of the rows."""
    return np.sort(np.argsort(rank, kind="stable")[:n])


def _batches(path: Path | str, columns: Sequence[str], first_row: int) -> Iterator[tuple[Arrays, NDArray[np.int64]]]:
    """Yield columns and ids of a file, a batch of rows at a time."""
    if _is_mapped(path):
        yield from _mapped_batches(path, columns, first_row)
        return
    with storage.open_table(path) as file:
        storage.check_columns(path, file, columns)
        has_ids = "galaxy_id" in file.schema_arrow.names
        wanted = list(dict.fromkeys([*columns, "galaxy_id"] if has_ids else columns))
        for batch in file.iter_batches(storage.ROW_GROUP, columns=wanted):
            arrays = storage.to_arrays(pa.Table.from_batches([batch]))
            ids = arrays["galaxy_id"] if has_ids else np.arange(first_row, first_row + len(batch))
            first_row += len(batch)
            yield {name: arrays[name] for name in columns}, ids


def _is_mapped(path: Path | str) -> bool:
    return Path(path).suffix == memory_map.SUFFIX


def _mapped_batches(
    path: Path | str, columns: Sequence[str], first_row: int
) -> Iterator[tuple[Arrays, NDArray[np.int64]]]:
    table = memory_map.read(path)
    table.check(columns)
    arrays = {name: table.column(name) for name in columns}
    for start in range(0, table.n_rows, storage.ROW_GROUP):
        rows = slice(start, min(start + storage.ROW_GROUP, table.n_rows))
        batch = {name: values[rows].astype(np.float64) for name, values in arrays.items()}
        yield batch, first_row + np.arange(rows.start, rows.stop)
