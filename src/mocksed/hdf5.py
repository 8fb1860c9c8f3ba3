"""Opening HDF5 files: for reading on disks without file locks, and for writing on disks that may fill up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import h5py


def opened(path: Path | str) -> h5py.File:
    """Open a file to read.

    HDF5 would lock it, which fails on network disks that have no locks.
    """
    return h5py.File(path, "r", locking=False)


@contextmanager
def created(path: Path | str) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Yield a new file to write, and a function that raises what went wrong so far, as the end does at the latest.

    Raises
    ------
    OSError
        If not all of it could be written, on a full disk, say.

    """
    with _Target(path, "w+") as target:
        # The layout of HDF5 1.10 has checksums of what the file says of itself, where damage can crash a process. It
        # packs arrays closely; in memory that is mapped they are to be aligned.
        file = h5py.File(target, "w", libver=("v110", "v110"), alignment_threshold=1, alignment_interval=8)
        try:
            try:
                yield file, target.check
            finally:
                file.close()
        except (OSError, RuntimeError):  # HDF5's own, of what it could not read again, too
            target.check()
            raise
        target.check()


class _Target(FileIO):
    """A file for HDF5 to write to, which keeps the first error to itself.

    After a write that failed HDF5 can neither close its file nor let it go: the process crashes when it ends.
    """

    error: OSError | None = None

    def check(self) -> None:
        """Raise the first error there was."""
        if self.error:
            raise self.error

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Write all of the data, or nothing after an error."""
        left = memoryview(data).cast("B")
        try:
            while left and not self.error:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, which may be beyond the end."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell()
