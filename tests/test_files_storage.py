import os
import resource
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mocksed import __version__, atomic
from mocksed.errors import UserError
from mocksed.files import memory_map, storage
from mocksed.files.columns import COLUMNS


def die_halfway(path, exception):
    with atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise exception


def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "new" / "a.parquet"
    with pytest.raises(RuntimeError, match="halfway"):
        die_halfway(path, RuntimeError("halfway"))
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        die_halfway(path, KeyboardInterrupt())
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    with atomic.replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.fixture
def synced(monkeypatch):
    """Return what was told the disk to be kept, in order: the content of files, and the names that they got."""
    done, replace = [], os.replace

    def fsync(descriptor):
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            done.append(file.read())

    def rename(source, target):
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)
    return done


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, synced):
    """Otherwise it could be empty after a power failure, with the name of a whole one."""

    def by_hand(path):
        with atomic.replacing(path) as temporary:
            temporary.write_text("whole")

    def hdf5(path):
        with memory_map.writing(path, ["age"], 3) as append:
            append({"age": np.ones(3)})

    writers = {
        "a.txt": by_hand,
        "a.h5": hdf5,
        "a.json": lambda path: storage.write_json(path, {"a": 1}),
        "a.parquet": lambda path: storage.write_table(path, {"galaxy_id": np.arange(3)}),
    }
    for name, write in writers.items():
        write(tmp_path / name)
        assert synced == [(tmp_path / name).read_bytes(), tmp_path / name]
        synced.clear()


def test_nan_becomes_null_and_nan_again(tmp_path):
    path = tmp_path / "a.parquet"
    muv = np.array([-20.0, np.nan, -18.5])
    storage.write_table(
        path, {"galaxy_id": np.array([1, 2, 3]), "muv": muv, "quiescent": np.array([True, False, True])}
    )
    assert storage.read_table(path)["muv"].null_count == 1
    arrays = storage.read_arrays(path, ["galaxy_id", "muv", "quiescent"])
    assert_array_equal(arrays["muv"], muv)
    assert_array_equal(arrays["galaxy_id"], [1, 2, 3])
    assert [arrays[name].dtype.kind for name in arrays] == ["i", "f", "b"]


@given(st.lists(st.floats(width=64), max_size=20))
def test_every_number_survives(values):
    table = storage.to_table({"age": np.array(values, float)})
    assert_array_equal(storage.to_arrays(table)["age"], np.array(values, float))


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "i8", "f4", "f8", "U3"])
@pytest.mark.parametrize("n", [0, 1, 9])
def test_arrays_become_what_arrow_makes_of_them_and_come_back(dtype, n):
    values = np.arange(2 * n).astype(dtype)[::2]  # not contiguous
    table = storage.to_table({"a": values, "b": np.stack([values, values], axis=1) if dtype != "U3" else values})
    assert table["a"].combine_chunks().equals(pa.array(values))
    back = storage.to_arrays(table)
    assert back["a"].tolist() == values.tolist()
    assert n == 0 or dtype == "U3" or back["a"].dtype == values.dtype
    for part in ("b", "a"):
        sliced = storage.to_arrays(table.slice(n // 2, 3))[part]
        assert sliced.tolist() == storage.to_arrays(table)[part][n // 2 :][:3].tolist()


def test_known_columns_are_cast_and_masked_as_by_arrow():
    muv = np.array([-20.0, np.nan, -18.5] * 5)
    for values in (muv, muv[::-2], muv.astype("f4"), muv[:0]):
        expected = pa.array(values, COLUMNS["muv"].type, mask=np.isnan(values))
        assert storage.to_table({"muv": values})["muv"].combine_chunks().equals(expected)
    assert storage.to_table({"flags": np.arange(3)})["flags"].type == COLUMNS["flags"].type
    with pytest.raises(pa.ArrowInvalid):
        storage.to_table({"flags": np.array([1 << 40])})
    with pytest.raises(pa.ArrowNotImplementedError):  # not taken for what its bytes would be in the other order
        storage.to_table({"other": np.arange(3.0).astype(">f8")})


def test_numbers_are_written_and_read_without_pandas(tmp_path):
    code = """
import sys
import numpy as np
from mocksed.files import storage
columns = {"muv": np.array([1.0, np.nan]), "galaxy_id": np.arange(2), "quiescent": np.array([True, False]),
           "spectrum": np.ones((2, 3), np.float32)}
storage.write_table("a.parquet", columns)
storage.read_arrays("a.parquet", list(columns))
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_fields_carry_unit_and_description(tmp_path):
    path = tmp_path / "a.parquet"
    ones = np.ones(2)
    columns = {"age": ones, "mag_jwst_f277w": ones, "line_halpha_6563": ones, "mine": ones}
    storage.write_table(path, columns, {"wavelength": [1.0, 2.0]})
    stored = pq.read_schema(path)
    assert stored.field("age").metadata[b"unit"] == b"Gyr"
    assert stored.field("age").metadata[b"description"].decode() == COLUMNS["age"].description
    assert stored.field("mag_jwst_f277w").metadata[b"unit"] == b"mag(AB)"
    assert stored.field("line_halpha_6563").metadata[b"unit"] == b"Lsun"
    assert b"halpha_6563" in stored.field("line_halpha_6563").metadata[b"description"]
    assert stored.field("line_halpha_6563").type == pa.float64()
    assert not stored.field("mine").metadata
    assert storage.metadata(path) == {"mocksed_version": __version__, "wavelength": [1.0, 2.0]}


def test_rows_of_a_matrix_become_lists_of_fixed_size(tmp_path):
    path = tmp_path / "a.parquet"
    spectrum = np.arange(12.0).reshape(4, 3)
    storage.write_table(path, {"spectrum": spectrum, "neighbour_index": np.arange(8).reshape(4, 2)})
    assert storage.read_table(path).schema.field("spectrum").type == pa.list_(pa.float32(), 3)
    arrays = storage.read_arrays(path, ["spectrum", "neighbour_index"])
    assert_array_equal(arrays["spectrum"], spectrum)
    assert arrays["spectrum"].dtype == np.float32
    assert_array_equal(arrays["neighbour_index"], np.arange(8).reshape(4, 2))


def test_an_empty_shard_survives(tmp_path):
    path = tmp_path / "a.parquet"
    storage.write_table(path, {"galaxy_id": np.empty(0, np.int64), "spectrum": np.empty((0, 3))})
    arrays = storage.read_arrays(path, ["galaxy_id", "spectrum"])
    assert (arrays["galaxy_id"].shape, arrays["spectrum"].shape) == ((0,), (0, 3))


def test_the_same_columns_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        storage.write_table(tmp_path / name, {"age": np.linspace(0.1, 13.0, 1000)}, {"key": [1, 2]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damaged_missing_and_wrong_files_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    storage.write_table(path, {"age": np.linspace(0.1, 13.0, 1000)})
    with pytest.raises(UserError, match=r"a\.parquet.*tau"):
        storage.read_table(path, ["age", "tau"])
    path.write_bytes(path.read_bytes()[:-100])
    for read in (storage.read_table, storage.metadata):
        with pytest.raises(UserError, match=r"cannot read .*a\.parquet.*Remove it and run again"):
            read(path)
    with pytest.raises(UserError, match=r"cannot read .*no\.parquet"):
        storage.read_table(tmp_path / "no.parquet")


def all_rows(path):
    return storage.find_rows(path, "galaxy_id", np.arange(5000), ["galaxy_id", "age"])


@pytest.mark.parametrize("read", [storage.read_table, all_rows])
def test_a_changed_byte_is_noticed(tmp_path, read):
    """Never another number instead of the one that was written; some bytes, as of statistics, are not used."""
    path = tmp_path / "a.parquet"
    numbers = np.random.default_rng(0).normal(size=5000)
    storage.write_table(path, {"galaxy_id": np.arange(5000), "age": numbers})
    written, content, noticed = storage.read_table(path), path.read_bytes(), 0
    for at in range(4, len(content), 1009):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            assert read(path).equals(written)
        except UserError:
            noticed += 1
    assert noticed > 50


def test_a_changed_word_of_what_a_file_says_of_itself_is_noticed(tmp_path):
    path = tmp_path / "a.parquet"
    storage.write_table(path, {"galaxy_id": np.arange(3)}, {"run": "unmistakable"})
    content = path.read_bytes()
    assert b"unmistakable" in content
    path.write_bytes(content.replace(b"unmistakable", b"unmistaxable"))
    for read in (storage.metadata, storage.read_table):
        with pytest.raises(UserError, match="its footer has another checksum"):
            read(path)


@pytest.mark.parametrize("statistics", [True, False])
def test_rows_are_found_by_their_key(tmp_path, monkeypatch, statistics):
    """In the order of the file, also of one whose writer keeps no statistics."""
    path = tmp_path / "a.parquet"
    ids = np.random.default_rng(0).permutation(1000) * 7
    monkeypatch.setattr(storage, "ROW_GROUP", 100)
    monkeypatch.setattr(storage, "PARQUET", storage.PARQUET | {"write_statistics": statistics})
    storage.write_table(path, {"age": ids * 2.0, "pair": np.stack([ids, ids + 1], axis=1), "galaxy_id": ids})
    wanted = np.array([-1, 14, 15, 63, 6993])
    expected = [i for i in ids.tolist() if i in (14, 63, 6993)]
    found = storage.find_rows(path, "galaxy_id", wanted, ["pair", "age"])
    assert found.to_pydict() == {"pair": [[i, i + 1] for i in expected], "age": [2.0 * i for i in expected]}
    assert len(storage.find_rows(path, "galaxy_id", wanted[:1], ["age"])) == 0
    with pytest.raises(UserError, match="has no column 'tau'"):
        storage.find_rows(path, "galaxy_id", wanted, ["tau"])


@pytest.mark.parametrize(("sorted_", "key", "unread"), [(True, "galaxy_id", 150), (False, "age", 9)])
def test_what_cannot_match_is_not_read(tmp_path, monkeypatch, sorted_, key, unread):
    """Damage there goes unnoticed: in other row groups, and where ids are in no order in what goes with their ids."""
    path, ids = tmp_path / "a.parquet", np.arange(500)
    if not sorted_:
        ids = ids.reshape(100, 5).T.reshape(-1)  # 0, 5, 10, ... in the first row group, 1, 6, 11, ... in the second
    monkeypatch.setattr(storage, "ROW_GROUP", 100)
    storage.write_table(path, {"galaxy_id": ids, "age": np.random.default_rng(0).random(500)})
    file = pq.ParquetFile(path)
    group = 1 if sorted_ else int(np.flatnonzero(ids == unread)[0]) // 100
    column = file.metadata.row_group(group).column(["galaxy_id", "age"].index(key))
    content = bytearray(path.read_bytes())
    content[column.dictionary_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    assert len(storage.find_rows(path, "galaxy_id", np.array([5, 450]), ["age"])) == 2
    with pytest.raises(UserError, match="cannot read"):
        storage.find_rows(path, "galaxy_id", np.array([5, unread]), ["age"])


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a\.parquet"):
        storage.write_table(tmp_path / "file" / "a.parquet", {"age": np.ones(3)})


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path):
    """A limit on the size of files gives an OSError in the middle of writing, as a full disk does."""
    script = (
        "import signal, sys, numpy as np; from mocksed.files import storage; from mocksed.errors import UserError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: storage.write_table(sys.argv[1], {'age': np.random.default_rng(0).random(100_000)})\n"
        "except UserError as error: sys.exit(str(error))"
    )

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-c", script, tmp_path / "a.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.startswith("cannot write")
    assert "free space" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_has_sorted_keys_and_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "a.json"
    storage.write_json(path, {"b": np.array([1.0, np.nan]), "a": {"x": np.float32(2.0), "y": -np.inf, 3: (1, "z")}})
    assert storage.read_json(path) == {"a": {"3": [1, "z"], "x": 2.0, "y": None}, "b": [1.0, None]}
    assert path.read_text().index('"a"') < path.read_text().index('"b"')


@given(st.integers(0, 10**9), st.integers(1, 300))
def test_shards_are_contiguous_and_even(n_rows, n_shards):
    bounds = storage.shard_bounds(n_rows, n_shards)
    lengths = [stop - start for start, stop in bounds]
    assert len(bounds) == n_shards
    assert (bounds[0][0], bounds[-1][1]) == (0, n_rows)
    assert all(left[1] == right[0] for left, right in pairwise(bounds))
    assert max(lengths) - min(lengths) <= 1


def test_what_a_killed_job_left_of_the_same_file_is_removed(tmp_path):
    left, other = tmp_path / ".0000.parquet.k1ll3d.parquet", tmp_path / ".0001.parquet.al1ve.parquet"
    left.touch()
    other.touch()
    with atomic.replacing(tmp_path / "0000.parquet") as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == [other, tmp_path / "0000.parquet"]


def test_a_job_that_was_given_up_cannot_replace_the_file_of_its_successor(tmp_path):
    slow = atomic.replacing(tmp_path / "0000.parquet")
    slow.__enter__()
    with atomic.replacing(tmp_path / "0000.parquet") as temporary:
        temporary.write_text("successor")
    with pytest.raises(UserError):
        slow.__exit__(None, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["0000.parquet"]
    assert (tmp_path / "0000.parquet").read_text() == "successor"


def test_the_loser_of_two_writers_is_told_so(tmp_path):
    def write():
        with atomic.replacing(tmp_path / "a.json") as temporary:
            temporary.write_text("mine")
            storage.write_json(tmp_path / "a.json", "of another job")

    with pytest.raises(UserError, match=r"cannot write .*a\.json: another job .* only one run at a time"):
        write()
    assert storage.read_json(tmp_path / "a.json") == "of another job"
    assert len(list(tmp_path.iterdir())) == 1
