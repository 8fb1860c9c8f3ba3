"""The parent as the neighbour search wants it: k-d trees of coordinates in the metric, in one or more tree shards.

A tree shard is a range of rows of the parent catalogue of a class: the leaves of a k-d tree (see
`mocksed.search.kdtree`), which all threads and processes of a node map, and a JSON file that says what is in it.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy

from mocksed import atomic, digest, jsontext
from mocksed.blocks import row_blocks
from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.progress import Progress
from mocksed.search import kdtree, parent
from mocksed.search.kdtree import LEAF, KDTree
from mocksed.search.metric import Metric
from mocksed.search.parent import Catalogue, Recipe

_BLOCK = 1_000_000  # points of the parent held at once, beside their coordinates
_LEAVES = 1 << 15  # written at once


def write(
    catalogue: Catalogue,
    metric: Metric,
    start: int,
    stop: int,
    leaves: Path | str,
    about: Path | str,
    progress: Progress | None = None,
) -> None:
    """Write the tree shard of the rows ``start`` to ``stop`` of a parent catalogue.

    All columns of the shards of the parent are checked first: what is damaged is found before anything is searched.

    Parameters
    ----------
    catalogue : mocksed.search.parent.Catalogue
        The shards of the parent that hold these rows.
    metric : Metric
        The metric of the search.
    start, stop : int
        First row, and the one past the last.
    leaves, about : path
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
    n = stop - start
    points, age = np.empty((n, len(metric.scales)), np.float32), np.empty(n, np.float32)
    payload = np.empty((n, len(metric.payload)), np.float32)
    for block in row_blocks(0, n, _BLOCK):
        first, last = start + block.start, start + block.stop
        rows = {name: catalogue.column(name, first, last).astype(np.float64) for name in metric.columns}
        points[block], payload[block] = metric.coordinates(rows), metric.carried(rows)
        age[block] = catalogue.column("age", first, last)
        if progress:
            progress.update(last - first)
    order, crc = kdtree.order(points), 0
    with atomic.replacing(leaves) as temporary, open(temporary, "wb") as file:
        npy.write_array_header_1_0(file, _header(stop - start, metric))
        for block in row_blocks(0, len(order), _LEAVES * LEAF):
            some = kdtree.leaves(points, age, payload, order[block], start)
            file.write(some.astype("<f4", copy=False).data)
            crc = zlib.crc32(some.astype("<f4", copy=False).data, crc)
    of_shard = {"rows": [start, stop], "metric": asdict(metric), "crc32": crc}
    storage.write_json(about, catalogue.metadata | of_shard)


def read(leaves: Path | str, about: Path | str, metric: Metric, start: int, stop: int, recipe: Recipe) -> KDTree:
    """Return the tree of the rows ``start`` to ``stop`` of a parent catalogue, over its memory-mapped leaves.

    Raises
    ------
    UserError
        If a file is missing, damaged or truncated, belongs to another metric, other rows or a parent of another
        recipe.

    """
    stored = storage.read_json(about)
    if not isinstance(stored, Mapping) or not {"rows", "metric", "crc32"} <= stored.keys():
        raise UserError(f"{about} does not describe a tree shard. {_REMOVE}")
    parent.check_recipe(about, stored, recipe)
    for key, expected in {"metric": json.loads(jsontext.dumps(asdict(metric))), "rows": [start, stop]}.items():
        if stored[key] != expected:
            raise UserError(f"{about} is of another search: {key} is {stored[key]}, expected {expected}. {_REMOVE}")
    try:
        stored_leaves = np.load(leaves, mmap_mode="r")
    except (EOFError, OSError, ValueError, SyntaxError, TokenError) as error:  # the header is a literal of Python
        raise UserError(f"cannot read {leaves}: {error}. {_REMOVE}") from error
    expected_shape = _header(stop - start, metric)["shape"]
    if stored_leaves.shape != expected_shape or stored_leaves.dtype != np.float32:
        raise UserError(
            f"{leaves} has {stored_leaves.dtype} of shape {stored_leaves.shape}, expected float32 of {expected_shape}. "
            f"{_REMOVE}"
        )
    if digest.crc32(leaves, stored_leaves.offset) != stored["crc32"]:
        raise UserError(f"{leaves} is damaged: it has another checksum than {about} says. {_REMOVE}")
    return KDTree(stored_leaves, len(metric.scales))


def _header(n_points: int, metric: Metric) -> dict[str, Any]:
    shape = (-(-n_points // LEAF), len(metric.scales) + 2 + len(metric.payload), LEAF)
    return {"descr": "<f4", "fortran_order": False, "shape": shape}


_REMOVE = "Remove it and run again: it will be made again."
