"""The parent as the neighbour search wants it: coordinates in the metric, and the parameters that are looked up.

Both are plain memory-mappable arrays, so that all threads and processes of a node share one copy. The k-d tree itself
is built from them by every job that searches: that is quicker than to load one from a network disk.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from mocksed import parent
from mocksed.assign import PARAMETERS
from mocksed.errors import UserError
from mocksed.neighbours import Metric
from mocksed.storage import read_arrays, read_table, replacing

_RECORD = np.dtype([(name, np.float32) for name in PARAMETERS])


def write(parents: Sequence[Path | str], metric: Metric, points: Path | str, parameters: Path | str) -> None:
    """Write the coordinates (float32, shape (n, n_quantity)) and parameters (records of float32) of a parent catalogue.

    Parameters
    ----------
    parents : sequence of path
        Its shards, in order: a point's row is its row in all of them.
    metric : Metric
        The metric of the search.
    points, parameters : path
        The files to write (.npy).

    """
    rows = [len(read_table(path, PARAMETERS[:1])) for path in parents]
    start = 0
    with replacing(points) as points_file, replacing(parameters) as parameters_file:
        shape = (sum(rows), metric.n_quantities)
        coordinates = open_memmap(points_file, mode="w+", dtype=np.float32, shape=shape)
        records = open_memmap(parameters_file, mode="w+", dtype=_RECORD, shape=shape[:1])
        for path, n in zip(parents, rows, strict=True):
            columns = read_arrays(path, parent.COLUMNS)
            coordinates[start : start + n] = metric.coordinates(columns)
            for name in PARAMETERS:
                records[name][start : start + n] = columns[name]
            start += n
        coordinates.flush()
        records.flush()


def read(points: Path | str, parameters: Path | str) -> tuple[NDArray[np.float32], NDArray]:
    """Return the coordinates and the parameters, memory-mapped.

    Raises
    ------
    UserError
        If a file is missing, truncated or does not belong to the other.

    """
    try:
        coordinates, records = np.load(points, mmap_mode="r"), np.load(parameters, mmap_mode="r")
    except (EOFError, OSError, ValueError) as error:
        raise UserError(f"cannot read the tree {points}: {error}. Remove it and run again.") from error
    if len(coordinates) != len(records) or records.dtype != _RECORD:
        raise UserError(f"{points} and {parameters} do not belong together. Remove both and run again.")
    return coordinates, records
