import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mocksed import __version__, digest
from mocksed.errors import UserError
from mocksed.files import memory_map
from mocksed.files.columns import COLUMNS

NAMES = ("age", "tau", "mine")


def columns(n):
    rng = np.random.default_rng(0)
    return {name: rng.random(n) for name in NAMES}


def write(path, values, blocks=1, metadata=None):
    n = len(values["age"])
    with memory_map.writing(path, NAMES, n, metadata) as append:
        for rows in np.array_split(np.arange(n), blocks):
            append({name: column[rows] for name, column in values.items()})
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.h5", columns(1000), metadata={"key": [1, 2]})


def test_round_trip_in_single_precision_and_mapped(path):
    table = memory_map.read(path)
    assert table.n_rows == 1000
    assert table.metadata == {"mocksed_version": __version__, "key": [1, 2]}
    table.check()
    for name, values in columns(1000).items():
        found = table.column(name)
        assert isinstance(found, np.memmap)
        assert not found.flags.writeable
        assert found.flags.aligned
        assert_array_equal(found, values.astype(np.float32))


def test_columns_carry_unit_and_description_and_any_hdf5_reader_finds_them(path):
    with h5py.File(path) as file:
        assert file["age"].attrs["unit"] == "Gyr"
        assert file["age"].attrs["description"] == COLUMNS["age"].description
        assert "unit" not in file["mine"].attrs
        assert_array_equal(file["tau"][()], columns(1000)["tau"].astype(np.float32))


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_the_blocks_do_not_matter(tmp_path, n):
    one, many = (write(tmp_path / f"{blocks}.h5", columns(n), blocks) for blocks in (1, 7))
    assert one.read_bytes() == many.read_bytes()
    table = memory_map.read(many)
    table.check()
    assert table.column("tau").shape == (n,)


def test_a_failure_and_a_wrong_number_of_rows_leave_nothing(tmp_path):
    def die():
        with memory_map.writing(tmp_path / "a.h5", NAMES, 10) as append:
            append(columns(5))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    with pytest.raises(ValueError, match="5 rows of 10"), memory_map.writing(tmp_path / "a.h5", NAMES, 10) as append:
        append(columns(5))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path):
    """A limit on the size of files gives an OSError in the middle of writing, as a full disk does."""
    script = (
        "import signal, sys, numpy as np; from mocksed.files import memory_map; from mocksed.errors import UserError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try:\n"
        "    with memory_map.writing(sys.argv[1], ['age'], 1_000_000) as append:\n"
        "        for _ in range(10): append({'age': np.ones(100_000)})\n"
        "except UserError as error: sys.exit(str(error))"
    )
    limit = (1_000_000, 1_000_000)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.h5"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("cannot write")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_is_found_and_its_column_named(path):
    table = memory_map.read(path)
    with open(path, "r+b") as file:
        file.seek(table.offset["tau"] + 2345)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))
    table = memory_map.read(path)
    table.check(["age", "mine"])
    with pytest.raises(UserError, match=r"a\.h5 is damaged: column 'tau'.*Remove it and run again"):
        table.check()


@pytest.mark.parametrize("left", [0, 100, 3000, -1])
def test_a_truncated_table_is_named(path, left):
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UserError, match=r"cannot read .*a\.h5.*Remove it and run again"):
        memory_map.read(path)


def test_missing_foreign_and_incomplete_tables_are_named(tmp_path, path):
    with pytest.raises(UserError, match=r"cannot read .*no\.h5"):
        memory_map.read(tmp_path / "no.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"], file["y"] = np.ones(3), np.ones(4)
    with pytest.raises(UserError, match=r"cannot read .*b\.h5"):
        memory_map.read(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_group("group")
    with pytest.raises(UserError, match=r"cannot read .*c\.h5"):
        memory_map.read(tmp_path / "c.h5")
    for look in (memory_map.read(path).column, lambda name: memory_map.read(path).check([name])):
        with pytest.raises(UserError, match=r"a\.h5 has no column 'beta'"):
            look("beta")


def test_checksum_of_a_stretch(tmp_path):
    import zlib

    content = np.random.default_rng(0).bytes(20_000_000)
    (tmp_path / "a").write_bytes(content)
    assert digest.crc32(tmp_path / "a") == zlib.crc32(content)
    assert digest.crc32(tmp_path / "a", 11, 9_000_001) == zlib.crc32(content[11:9_000_012])
    with pytest.raises(UserError, match="cannot read"):
        digest.crc32(tmp_path / "b")
