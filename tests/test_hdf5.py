import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mocksed import hdf5
from mocksed.files import memory_map
from mocksed.galaxies import readers
from mocksed.sps import table

WRITE = """
import signal, sys
from pathlib import Path
from mocksed import atomic, hdf5
from mocksed.errors import UserError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with atomic.replacing(sys.argv[1]) as path, hdf5.created(path) as (file, _):
        for i in range(40):
            file.create_dataset(f"x{i}", data=[float(i)] * 100, compression="gzip")
            file[f"x{i}"].attrs["unit"] = "a" * 500
except UserError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("read", [memory_map.read, table.read_wavelength, readers.count_rows])
def test_files_are_read_where_locks_fail(read: Callable, root: Path, tmp_path: Path) -> None:
    """That somebody has the lock fails as a disk without locks does."""
    path = tmp_path / "a.h5"
    if read is table.read_wavelength:
        path.write_bytes((root / "resources" / "ssp_padova_kurucz_chabrier.h5").read_bytes())
    else:
        with memory_map.writing(path, ["age"], 3) as append:
            append({"age": np.ones(3)})
    with open(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r")
        read(path)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_a_disk_that_becomes_full_at_any_time_is_one_message(tmp_path: Path, share: float) -> None:
    def write(limit: int) -> subprocess.CompletedProcess:
        """Write in a process with a limit on the size of files, which gives the error of a full disk."""
        return subprocess.run(
            [sys.executable, "-c", WRITE, tmp_path / "a.h5"],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )

    assert write(10_000_000).returncode == 0
    size = os.path.getsize(tmp_path / "a.h5")
    (tmp_path / "a.h5").unlink()
    done = write(int(share * size))
    assert done.returncode == 1
    assert done.stderr.strip() == f"cannot write {tmp_path}/a.h5: File too large. Check the disk and its free space."
    assert list(tmp_path.iterdir()) == []


def test_what_failed_is_known_before_the_end() -> None:
    def write() -> None:
        with hdf5.created("/dev/full") as (file, check):
            file["x"] = np.ones(10)
            check()
            pytest.fail("nothing was said")

    with pytest.raises(OSError, match="No space left"):
        write()
