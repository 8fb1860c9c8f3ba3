"""The same bytes however a run is cut; and what is cut is checked."""

import os

import pyarrow.compute as pc
import pytest

from tests.runs import LAST, PARENTS, STAGES, Workflow, same, targets

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("shards", "made", "parent_shards", "cores", "threads", "last"),
    [
        (1, [0], 3, 1, 2, LAST),
        (4, [1, 3], 1, 2, 1, ("survey", "observed")),
        (16, [0, 7, 15], 2, 2, 1, ("catalog",)),
    ],
)
def test_the_same_bytes_however_it_is_sharded(tiny, root, tmp_path, shards, made, parent_shards, cores, threads, last):
    """Of the shards that are made."""
    other = Workflow(root, tmp_path, galaxies={"shards": shards}, parent={"shards": parent_shards})
    rules = ("parent", *STAGES[1:])
    other.succeed(*targets(last, made), "--set-threads", *(f"{rule}={threads}" for rule in rules), cores=cores)
    for stage in ("galaxies", "catalog", *last):
        found, expected = other.whole(stage), tiny.whole(stage)
        assert len(found) == pytest.approx(600 * len(made) / shards, abs=2)
        same(found, expected.filter(pc.is_in(expected["galaxy_id"], found["galaxy_id"].combine_chunks())))


def test_the_same_bytes_however_the_tree_is_cut(root, tmp_path):
    """One tree shard and two, of two and of three shards of the parent, in place and from a copy."""
    found, scratch = {}, tmp_path / "scratch"
    for parent_shards, threads, copied in ((2, 1, None), (3, 2, str(scratch))):
        workflow = Workflow(
            root,
            tmp_path / str(parent_shards),
            galaxies={"shards": 1},
            parent={"shards": parent_shards, "star_forming": {"n": 200_000}},
            neighbours={"max_memory_gb": 8, "threads": threads, "scratch": copied},
        )
        if parent_shards == 3:
            assert workflow.cut_tree() == 2
        said = workflow.succeed("results/tiny/assign/0000.parquet")
        assert "Rule: neighbours" in said
        names = sorted(path.name for path in workflow.path("tree", "star_forming").iterdir())
        assert len(names) == (4 if parent_shards == 3 else 2)
        for stage in ("neighbours", "assign"):
            paths = sorted(path for path in workflow.path(stage).rglob("*") if path.is_file())
            assert [path.name for path in paths] == ["0000.parquet"]
            found.setdefault(stage, []).append([path.read_bytes() for path in paths])
    for one, other in found.values():
        assert one == other
    assert (len(list(scratch.rglob("*.npy"))), len(list(scratch.rglob("*.h5")))) == (3, 6)


def test_a_damaged_parent_or_one_of_another_config_stops_the_run_before_the_search(root, tmp_path):
    workflow = Workflow(root, tmp_path)
    shards = [f"results/tiny/parent/star_forming/{name}" for name in PARENTS]
    workflow.succeed(*shards)
    target, old = "results/tiny/neighbours/0000.parquet", ["--rerun-triggers", "mtime"]
    damaged = tmp_path / shards[1]
    content, stat = damaged.read_bytes(), damaged.stat()
    middle = len(content) // 2
    for harm, word in (
        (content[:-100], "cannot read"),
        (content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], "is damaged"),
    ):
        damaged.write_bytes(harm)
        os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        said = workflow.fail(target, *old)
        assert word in said
        assert shards[1] in said
    damaged.write_bytes(content)
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    workflow.change(seed=7)
    said = workflow.fail(target, *old)
    assert f"{shards[0]} was made with another configuration: seed is 42, expected 7" in said
    assert not list(workflow.path("tree", "star_forming").glob("*"))
    assert not workflow.path("neighbours").exists() or not list(workflow.path("neighbours").iterdir())
