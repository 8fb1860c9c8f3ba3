"""Disks that are full, have no inodes left or are read-only: one message that names the file, and nothing half left."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mocksed.errors import UserError
from mocksed.files import memory_map, storage
from mocksed.galaxies import table as galaxies
from mocksed.galaxies.spec import TableSpec
from mocksed.search import parent, tree
from mocksed.search.metric import Metric
from mocksed.sps import table as ssp_table
from tests.runs import Workflow

pytestmark = pytest.mark.faults

DISKS = {  # options of tmpfs, whether it is made read-only, and what the system says
    "full": ("size=64k", False, "No space left on device"),
    "without inodes": ("size=10m,nr_inodes=1", False, "No space left on device"),
    "read-only": ("size=10m", True, "Read-only file system"),
}


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder of a disk on which nothing large can be written, and why."""
    options, read_only, why = DISKS[request.param]
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", path], check=True)
        yield path, why
    finally:
        subprocess.run(["umount", path], check=True)


def parquet(path: Path) -> None:
    storage.write_table(path, {"age": np.random.default_rng(1).random(100_000)})


def json(path: Path) -> None:
    storage.write_json(path, {"numbers": list(range(30_000))})


def parent_shard(path: Path) -> None:
    with memory_map.writing(path, ["age"], 100_000) as append:
        append({"age": np.ones(100_000, np.float32)})


def input_table(path: Path) -> None:
    """Write the shards of a user's table, which go through temporary files."""
    given = path.parents[1] / "given.parquet"
    rows = np.random.default_rng(2).uniform(8.0, 11.0, (2, 20_000))
    storage.write_table(given, {"redshift": rows[0] - 8.0, "log_mstar": rows[1]})
    galaxies.write_shards(TableSpec(given), 1, [path, path.with_name("0001.parquet")])


@pytest.mark.parametrize("write", [parquet, json, parent_shard, input_table])
def test_a_disk_that_takes_nothing(disk: tuple[Path, str], write: Callable[[Path], None]) -> None:
    folder, why = disk
    with pytest.raises(
        UserError, match=rf"^cannot write {folder}/\w+\.\w+: .*{why}\. Check the disk and its free space"
    ):
        write(folder / "0000.parquet")
    assert list(folder.iterdir()) == []


def test_an_ssp_table(disk: tuple[Path, str], own_ssp: Path) -> None:
    folder, why = disk
    with pytest.raises(UserError, match=rf"^cannot write {folder}/own.h5: {why}\. Check the disk and its free space"):
        ssp_table.write(folder / "own.h5", ssp_table.read(own_ssp))
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_tree(disk: tuple[Path, str], tiny: Workflow) -> None:
    folder, why = disk
    shards = [tiny.path("parent", "star_forming", f"{shard:04d}.h5") for shard in range(2)]
    said = storage.read_json(tiny.path("tree", "star_forming", "0000.json"))
    metric = Metric(said["metric"]["scales"], tuple(said["metric"]["payload"]))
    catalogue = parent.open_shards(shards, said["recipe"])
    with pytest.raises(UserError, match=rf"^cannot write {folder}/0.npy: {why}\. Check the disk and its free space"):
        tree.write(catalogue, metric, *said["rows"], folder / "0.npy", folder / "0.json")
    assert list(folder.iterdir()) == []
