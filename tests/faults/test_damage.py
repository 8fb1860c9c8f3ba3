"""One flipped bit or a cut in any kind of file: whoever reads it says so, or reads what was written."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mocksed import spectra
from mocksed.diagnostics import catalogue
from mocksed.errors import UserError
from mocksed.files import memory_map, storage
from mocksed.run.stages import search
from mocksed.search import parent, tree
from mocksed.search.metric import Metric
from mocksed.sps import table
from tests.runs import Workflow

pytestmark = pytest.mark.slow

FLIPS, CUTS = 50, 16
"""Of each kind of file."""

AT_THE_ENDS = 4096
"""Bytes at both ends of a file, where names and metadata are, and where half of the flips go."""

NOTICED = object()

OF_ROWS = ("galaxies", "neighbours", "assign", "survey", "observed")
"""Stages whose files are read as a whole."""


def of_rows(path: Path) -> object:
    rows = storage.read_table(path)
    fields = [(str(field), field.metadata) for field in rows.schema]
    return storage.metadata(path), storage.count_rows(path), storage.to_arrays(rows), fields


def of_catalogue(path: Path) -> object:
    """Return what the diagnostics read of it, and what other stages do."""
    whole, names = of_rows(path), storage.read_table(path).column_names
    return whole, catalogue.read([path], names, 10**6)


def of_spectra(path: Path) -> object:
    return of_rows(path), spectra.read_wavelength(path)


def of_parent(path: Path) -> object:
    found = memory_map.read(path)
    parent.open_shards([path], found.metadata["recipe"]).check()
    return found.metadata, found.n_rows, {name: found.column(name) for name in found.offset}


def of_balance(path: Path) -> object:
    stored = storage.read_json(path)
    return stored, search.read_balance(str(path), stored["of"]).as_json()


def of_table(path: Path) -> object:
    return vars(table.read(path)), table.read_wavelength(path), table.read_lines(path)


def files_of(run: Workflow) -> dict[str, tuple[list[Path], Callable[[Path], object]]]:
    """Return the kinds of files: one of each with what belongs to it, of which the first is harmed; and its reader."""
    leaves, about = (run.path("tree", "star_forming", f"0000.{suffix}") for suffix in ("npy", "json"))
    said = storage.read_json(about)
    metric = Metric(said["metric"]["scales"], tuple(said["metric"]["payload"]))

    def of_tree(path: Path) -> object:
        found = tree.read(path.with_suffix(".npy"), path.with_suffix(".json"), metric, *said["rows"], said["recipe"])
        return storage.read_json(path.with_suffix(".json")), found.n_points, found.leaves

    return {
        **{stage: ([run.path(stage, "0001.parquet")], of_rows) for stage in OF_ROWS},
        "catalog": ([run.path("catalog", "0001.parquet")], of_catalogue),
        "spectra": ([run.path("spectra", "0001.parquet")], of_spectra),
        "parent": ([run.path("parent", "star_forming", "0000.h5")], of_parent),
        "tree": ([leaves, about], of_tree),
        "what a tree says": ([about, leaves], of_tree),
        "balance": ([run.path("balance.json")], of_balance),
        "SSP table": ([Path(run.config["sps"]["table"])], of_table),
    }


def seen(value: object) -> object:
    """Return a value in a form that tells any other one from it, NaN and negative zero included."""
    if isinstance(value, Mapping):
        return {str(key): seen(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [seen(item) for item in value]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(np.ascontiguousarray(value)).hexdigest()]
    return repr(value)


def attempted(read: Callable[[Path], object], path: Path) -> object:
    """Return what is read, or that damage was noticed."""
    try:
        return read(path)
    except UserError:
        return NOTICED


KINDS = (*OF_ROWS, "catalog", "spectra", "parent", "tree", "what a tree says", "balance", "SSP table")


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_is_silent(tiny, tmp_path, kind):
    files, read = files_of(tiny)[kind]
    path, *_ = (Path(shutil.copy(file, tmp_path)) for file in files)
    content, written = path.read_bytes(), seen(read(path))
    random, noticed = np.random.default_rng(KINDS.index(kind)), 0
    ends = np.r_[: min(AT_THE_ENDS, len(content)), max(len(content) - AT_THE_ENDS, 0) : len(content)]
    harms: list[tuple[str, bytes]] = []
    for flip in range(FLIPS):
        at, bit = int(random.integers(len(content)) if flip % 2 else random.choice(ends)), int(random.integers(8))
        harms.append((f"bit {bit} of byte {at}", content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]))
    cuts = [0, len(content) - 1, *random.integers(1, len(content) - 1, CUTS - 2).tolist()]
    harms += [(f"cut to {length} bytes", content[:length]) for length in cuts]
    for harm, damaged in harms:
        path.unlink()  # a tree may still be mapped
        path.write_bytes(damaged)
        found = attempted(read, path)
        assert found is NOTICED or seen(found) == written, f"{harm} of {len(content)} changed what is read"
        noticed += found is NOTICED
    assert noticed > FLIPS // 3 + CUTS // 2  # not all bytes are read
