"""Files that appear whole or not at all.

Everything is written under a temporary name in the folder of the target and renamed into place: a job that dies
leaves nothing that a rerun would trust, and two jobs that write the same file do not mix.
"""

import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mocksed.errors import UserError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on failure.

    What a killed job left of the same file is removed first. Should that job be alive after all (its node was given up,
    say), it can no longer put its file in place of the new one.

    Raises
    ------
    UserError
        If the folder cannot be written, the disk is full, or another job writes the same file.

    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_overs(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if isinstance(error, FileNotFoundError) and temporary is not None:
            raise UserError(
                f"cannot write {path}: another job began to write it and removed what this one had written. Let "
                "only one run at a time be at work on a folder of results."
            ) from error
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. Check the disk and its free space."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_left_overs(path: Path | str) -> None:
    """Remove the temporary files beside ``path`` of jobs that were killed while they wrote it."""
    path = Path(path)
    for left_over in path.parent.glob(f".{glob.escape(path.name)}.*{path.suffix}"):
        left_over.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
