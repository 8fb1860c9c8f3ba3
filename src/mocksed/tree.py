"""The parent as the neighbour search wants it: coordinates in the metric, in one or more tree shards.

A tree shard is a range of rows of the star-forming parent catalogue: an array of coordinates, which all threads and
processes of a node map, and a JSON file that says what is in it. The k-d tree itself is built from it by every job that
searches: that is quicker than to load one from a network disk.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mocksed import mapped, parent, storage
from mocksed.errors import UserError
from mocksed.jobs import Progress
from mocksed.neighbours import Metric
from mocksed.parent import Catalogue, Recipe

_BLOCK = 1_000_000  # points held at once


@dataclass(frozen=True)
class TreeShard:
    """A tree shard on disk.

    Attributes
    ----------
    points : ndarray of shape (n, n_quantity)
        Coordinates in the metric, memory-mapped.
    start : int
        Row of the first point in the parent catalogue.
    youngest_age : float
        Age of the youngest point [Gyr].
    about : dict
        What its JSON file says.

    """

    points: NDArray[np.float32]
    start: int
    youngest_age: float
    about: dict[str, Any]

    @property
    def stop(self) -> int:
        """Row past the last point."""
        return self.start + len(self.points)


def write(
    catalogue: Catalogue,
    metric: Metric,
    start: int,
    stop: int,
    points: Path | str,
    about: Path | str,
    progress: Progress | None = None,
) -> None:
    """Write the tree shard of the rows ``start`` to ``stop`` of a parent catalogue.

    All columns of the shards of the parent are checked first: what is damaged is found before anything is searched.

    Parameters
    ----------
    catalogue : mocksed.parent.Catalogue
        The shards of the parent that hold these rows.
    metric : Metric
        The metric of the search.
    start, stop : int
        First row, and the one past the last.
    points, about : path
        The files to write (.npy, .json).
    progress : Progress, optional
        Told of the points that are done.

    Raises
    ------
    UserError
        If a shard of the parent is damaged or missing, or the disk is full.

    """
    if start < catalogue.bounds[0] or stop > catalogue.bounds[-1]:
        raise UserError(
            f"rows {start} to {stop} of the parent are asked for; {catalogue.tables[0].path} to "
            f"{catalogue.tables[-1].path} hold {catalogue.bounds[0]} to {catalogue.bounds[-1]}"
        )
    catalogue.check()
    youngest, crc = np.inf, 0
    with storage.replacing(points) as temporary, open(temporary, "wb") as file:
        npy.write_array_header_1_0(file, _header(stop - start, metric))
        for first in range(start, stop, _BLOCK):
            last = min(first + _BLOCK, stop)
            rows = {name: catalogue.column(name, first, last).astype(np.float64) for name in metric.columns}
            coordinates = np.ascontiguousarray(metric.coordinates(rows), "<f4")
            file.write(coordinates.data)
            crc = zlib.crc32(coordinates.data, crc)
            youngest = min(youngest, float(catalogue.column("age", first, last).min()))
            if progress:
                progress.update(last - first)
    of_shard = {"rows": [start, stop], "metric": asdict(metric), "youngest_age": youngest, "crc32": crc}
    storage.write_json(about, catalogue.metadata | of_shard)


def read(points: Path | str, about: Path | str, metric: Metric, start: int, stop: int, recipe: Recipe) -> TreeShard:
    """Return the tree shard of the rows ``start`` to ``stop`` of a parent catalogue.

    Raises
    ------
    UserError
        If a file is missing, damaged or truncated, belongs to another metric, other rows or a parent of another
        recipe.

    """
    stored = storage.read_json(about)
    if not isinstance(stored, Mapping) or not {"rows", "metric", "youngest_age", "crc32"} <= stored.keys():
        raise UserError(f"{about} does not describe a tree shard. {_REMOVE}")
    parent.check_recipe(about, stored.get("recipe"), recipe)
    for key, expected in {"metric": json.loads(json.dumps(asdict(metric))), "rows": [start, stop]}.items():
        if stored[key] != expected:
            raise UserError(f"{about} is of another search: {key} is {stored[key]}, expected {expected}. {_REMOVE}")
    try:
        coordinates = np.load(points, mmap_mode="r")
    except (EOFError, OSError, ValueError) as error:
        raise UserError(f"cannot read {points}: {error}. {_REMOVE}") from error
    expected_shape = (stop - start, metric.n_quantities)
    if coordinates.shape != expected_shape or coordinates.dtype != np.float32:
        raise UserError(
            f"{points} has {coordinates.dtype} of shape {coordinates.shape}, expected float32 of {expected_shape}. "
            f"{_REMOVE}"
        )
    if mapped.checksum(points, coordinates.offset) != stored["crc32"]:
        raise UserError(f"{points} is damaged: it has another checksum than {about} says. {_REMOVE}")
    return TreeShard(coordinates, start, stored["youngest_age"], dict(stored))


def _header(n_points: int, metric: Metric) -> dict[str, Any]:
    return {"descr": "<f4", "fortran_order": False, "shape": (n_points, metric.n_quantities)}


_REMOVE = "Remove it and run again: it will be made anew."
