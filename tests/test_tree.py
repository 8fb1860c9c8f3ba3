import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mocksed import parent, storage, tree
from mocksed.assign import PARAMETERS
from mocksed.errors import UserError
from mocksed.neighbours import METRICS

METRIC = METRICS["drakos2021a"]


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.1, 5.0, 50) for name in parent.COLUMNS}


@pytest.fixture
def shards(tmp_path, columns):
    """Three shards of the columns; the names are not in the order of the rows, and one is empty."""
    paths = [tmp_path / "parent" / f"{name}.parquet" for name in ("b", "a", "c")]
    for path, rows in zip(paths, (slice(0, 20), slice(20, 20), slice(20, 50)), strict=True):
        storage.write_table(path, {name: values[rows] for name, values in columns.items()})
    return paths


@pytest.fixture
def files(tmp_path):
    return tmp_path / "tree" / "points.npy", tmp_path / "tree" / "parameters.npy"


def test_round_trip_in_the_order_of_the_shards(shards, columns, files):
    tree.write(shards, METRIC, *files)
    points, parameters = tree.read(*files)
    assert_array_equal(points, METRIC.coordinates(columns))
    assert parameters.dtype.names == PARAMETERS
    for name in PARAMETERS:
        assert_array_equal(parameters[name], columns[name].astype(np.float32))
    assert all(isinstance(array, np.memmap) and not array.flags.writeable for array in (points, parameters))


def test_the_same_parent_gives_the_same_bytes(shards, files, tmp_path):
    again = tmp_path / "p.npy", tmp_path / "q.npy"
    tree.write(shards, METRIC, *files)
    tree.write(shards, METRIC, *again)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]


def test_files_of_two_parents_do_not_mix(shards, files, tmp_path):
    other = tmp_path / "p.npy", tmp_path / "q.npy"
    tree.write(shards, METRIC, *files)
    tree.write(shards[:1], METRIC, *other)
    with pytest.raises(UserError, match=r"points\.npy and .*q\.npy do not belong together"):
        tree.read(files[0], other[1])
    with pytest.raises(UserError, match="do not belong together"):
        tree.read(files[0], files[0])


@pytest.mark.parametrize("damaged", [0, 1])
@pytest.mark.parametrize("n_bytes", [0, 20, 1000, None])
def test_missing_and_truncated_files(shards, files, damaged, n_bytes):
    tree.write(shards, METRIC, *files)
    if n_bytes is None:
        files[damaged].unlink()
    else:
        content = files[damaged].read_bytes()
        assert len(content) > n_bytes
        files[damaged].write_bytes(content[:n_bytes])
    with pytest.raises(UserError, match=r"cannot read the tree .*Remove it and run again"):
        tree.read(*files)


@pytest.mark.parametrize("problem", ["missing", "truncated", "no column"])
def test_a_bad_parent_leaves_nothing(shards, files, columns, problem):
    last = shards[-1]
    if problem == "missing":
        last.unlink()
    elif problem == "truncated":
        last.write_bytes(last.read_bytes()[:-50])
    else:
        storage.write_table(last, {name: values for name, values in columns.items() if name != "beta"})
    with pytest.raises(UserError, match=r"c\.parquet"):
        tree.write(shards, METRIC, *files)
    assert not files[0].parent.exists() or list(files[0].parent.iterdir()) == []
