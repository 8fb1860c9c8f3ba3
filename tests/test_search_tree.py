import mmap

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mocksed.errors import UserError
from mocksed.files import memory_map, storage
from mocksed.search import parent, tree
from mocksed.search.kdtree import find
from mocksed.search.metric import METRICS

METRIC, RECIPE = METRICS["default"]["star_forming"], {"n": 50, "seed": 1}
APRIL = METRICS["drakos2021a"]["star_forming"]
ALL = [pytest.param(preset[kind], id=f"{name} {kind}") for name, preset in METRICS.items() for kind in preset]


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.1, 5.0, 50).astype(np.float32) for name in parent.COLUMNS}


@pytest.fixture
def shards(tmp_path, columns):
    """Three shards of the columns; the names are not in the order of the rows, and one is empty."""
    paths = [tmp_path / "parent" / f"{name}.h5" for name in ("b", "a", "c")]
    for path, (start, stop) in zip(paths, ((0, 20), (20, 20), (20, 50)), strict=True):
        with memory_map.writing(
            path, parent.COLUMNS, stop - start, {"recipe": RECIPE, "rows": [start, stop]}
        ) as append:
            append({name: values[start:stop] for name, values in columns.items()})
    return paths


@pytest.fixture
def files(tmp_path):
    return tmp_path / "tree" / "0000.npy", tmp_path / "tree" / "0000.json"


def write(shards, files, start=0, stop=50, metric=METRIC):
    tree.write(parent.open_shards(shards, RECIPE), metric, start, stop, *files)


def read(files, start=0, stop=50, metric=METRIC, recipe=RECIPE):
    return tree.read(*files, metric, start, stop, recipe)


@pytest.mark.parametrize(("start", "stop"), [(0, 50), (0, 10), (15, 30), (20, 50)])
@pytest.mark.parametrize("metric", ALL)
def test_what_is_read_finds_the_rows_of_the_parent(shards, columns, files, start, stop, metric, monkeypatch):
    monkeypatch.setattr(tree, "_BLOCK", 7)
    monkeypatch.setattr(tree, "_LEAVES", 1)
    write(shards, files, start, stop, metric)
    search, about = read(files, start, stop, metric), storage.read_json(files[1])
    doubles = {name: values.astype(float) for name, values in columns.items()}
    coordinates, n = metric.coordinates(doubles)[start:stop], stop - start
    nearest = find([search], coordinates, 1, np.full(n, np.inf))
    assert_array_equal(nearest.rows[:, 0], np.arange(start, stop))
    assert not nearest.distance.any()
    carried = search.carried(nearest.place[:, 0])
    assert_array_equal(carried[:, : search.n_quantity], coordinates)
    assert_array_equal(carried[:, search.n_quantity], columns["age"][start:stop])
    assert_array_equal(carried[:, search.n_quantity + 1 :], metric.carried(doubles)[start:stop])
    age, row, _ = search.youngest()
    assert (age, row) == (columns["age"][start:stop].min(), start + np.argmin(columns["age"][start:stop]))
    assert search.n_points == n
    assert about["recipe"] == RECIPE


def test_shards_of_the_tree_find_what_the_whole_does(shards, files, tmp_path, columns):
    write(shards, files)
    whole = read(files)
    bounds = ((0, 10), (10, 33), (33, 50))
    parts = []
    for i, (start, stop) in enumerate(bounds):
        part = tmp_path / f"{i}.npy", tmp_path / f"{i}.json"
        write(shards, part, start, stop)
        parts.append(read(part, start, stop))
    targets = np.random.default_rng(3).uniform(-9.0, 9.0, (200, 3)).astype(np.float32)
    limit = np.random.default_rng(4).uniform(0.0, 5.0, 200)
    one, several = (find(trees, targets, 12, limit) for trees in ([whole], parts))
    assert one.n_found.tobytes() == several.n_found.tobytes()
    assert one.n_found.min() < 12
    there = np.arange(12) < one.n_found[:, None]
    for name in ("rows", "distance"):
        assert getattr(several, name)[there].tobytes() == getattr(one, name)[there].tobytes()


def test_leaves_are_mapped_and_cannot_be_changed(shards, files):
    write(shards, files)
    leaves = read(files).leaves
    assert not leaves.flags.writeable
    memory = leaves
    while isinstance(memory, np.ndarray):
        memory = memory.base
    assert isinstance(memory, mmap.mmap)


def test_only_the_shards_that_hold_the_rows_are_needed(shards, files):
    write(shards[2:], files, 25, 50)
    with pytest.raises(UserError, match=r"rows 15 to 50 of the parent are asked for; .*c\.h5 .* hold 20 to 50"):
        write(shards[2:], files, 15, 50)


def test_the_same_parent_gives_the_same_bytes(shards, files, tmp_path):
    again = tmp_path / "p.npy", tmp_path / "q.json"
    write(shards, files)
    write(shards, again)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": APRIL}, "metric is"),
        ({"start": 1}, r"rows is \[0, 50\], expected \[1, 50\]"),
        ({"recipe": {"n": 50, "seed": 2}}, "another configuration: seed is 1, expected 2"),
    ],
)
def test_a_tree_of_another_search_is_named(shards, files, changes, words):
    write(shards, files)
    with pytest.raises(UserError, match=rf"0000\.json .*{words}.*run again"):
        read(files, **changes)


def test_files_of_two_trees_do_not_mix(shards, files, tmp_path, columns):
    other = tmp_path / "p.npy", tmp_path / "q.json"
    write(shards, files)
    write(shards, other, metric=APRIL)
    with pytest.raises(UserError, match=r"p\.npy has float32 of shape \(2, 9, 32\), expected float32 of \(2, 7, 32\)"):
        read((other[0], files[1]))
    leaves = np.load(files[0])
    leaves[0, 2, 7] += 1.0
    np.save(files[0], leaves)
    with pytest.raises(UserError, match=r"0000\.npy is damaged: it has another checksum than .*0000\.json says"):
        read(files)


@pytest.mark.parametrize("damaged", [0, 1])
@pytest.mark.parametrize("n_bytes", [0, 20, 500, None])
def test_missing_and_truncated_files(shards, files, damaged, n_bytes):
    write(shards, files)
    if n_bytes is None:
        files[damaged].unlink()
    else:
        content = files[damaged].read_bytes()
        files[damaged].write_bytes(content[: min(n_bytes, len(content) - 2)])
    with pytest.raises(UserError, match=rf"cannot read .*{files[damaged].name}.*run again"):
        read(files)


@pytest.mark.parametrize("bit", [2, 3, 4])
def test_a_flipped_bit_of_the_header_is_noticed(shards, files, bit):
    write(shards, files)
    content, leaves = files[0].read_bytes(), read(files).leaves
    n_noticed = 0
    for at in range(128):
        files[0].unlink()  # the leaves may still be mapped
        files[0].write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        try:
            assert_array_equal(read(files).leaves, leaves)
        except UserError:
            n_noticed += 1
    assert n_noticed > 60


def test_json_of_something_else(shards, files):
    write(shards, files)
    storage.write_json(files[1], {"recipe": RECIPE})
    with pytest.raises(UserError, match=r"0000\.json does not describe a tree shard"):
        read(files)


@pytest.mark.parametrize("problem", ["missing", "truncated", "damaged", "no column", "another config"])
def test_a_bad_parent_leaves_nothing(shards, files, columns, problem):
    last, recipe = shards[-1], RECIPE
    content, table = last.read_bytes(), memory_map.read(last)
    if problem == "missing":
        last.unlink()
    elif problem == "truncated":
        last.write_bytes(content[:-50])
    elif problem == "damaged":  # in a column that is no coordinate
        where = table.offset["vj"] + 3
        last.write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    else:
        names = [name for name in parent.COLUMNS if problem != "no column" or name != "beta"]
        recipe = RECIPE if problem == "no column" else RECIPE | {"seed": 2}
        with memory_map.writing(last, names, 30, {"recipe": recipe, "rows": [20, 50]}) as append:
            append({name: columns[name][20:] for name in names})
    with pytest.raises(UserError, match=r"c\.h5.*[Rr]emove"):
        write(shards, files)
    assert not files[0].parent.exists() or list(files[0].parent.iterdir()) == []


def test_the_json_can_be_read_by_anyone(shards, files):
    write(shards, files, 10, 30)
    about = storage.read_json(files[1])
    assert about["rows"] == [10, 30]
    assert about["metric"]["scales"] == METRIC.scales
