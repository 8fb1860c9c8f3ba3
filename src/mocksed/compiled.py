"""Compiled functions: numba's decorators, with a cache that knows all of mocksed's source.

numba keeps compiled functions by the source of their own file. What they call is compiled into them, so that a change
of another file would leave the old code in use, with its old numbers. Here the folder of the cache has a checksum of
the whole source in its name: no source ever meets code that was compiled from another.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

notes: list[str] = []
"""What users should know of how functions are compiled here; jobs log it."""

_THREADS = os.environ.get("NUMBA_NUM_THREADS", "1")
if not re.fullmatch(r"\s*\+?0*[1-9][0-9]*\s*", _THREADS):  # numba's import would fail, or warn
    del os.environ["NUMBA_NUM_THREADS"]
    notes.append(f"NUMBA_NUM_THREADS={_THREADS} is no number of threads: all cores are used.")

import numba  # noqa: E402
from numba import get_num_threads, prange, set_num_threads  # noqa: E402

__all__ = ["folder", "get_num_threads", "njit", "notes", "prange", "set_num_threads", "vectorize"]

_KEPT = 86_400.0  # seconds that code of another source is kept after its last use: a job may be at it


def _checksum(package: Path) -> str:
    """Return a checksum of all Python files below a folder, with their names."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        digest.update(f"{path.relative_to(package)}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()[:16]


def _parents(package: Path) -> Iterator[Path]:
    """Return the folders in which compiled code may be, the first choice first."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(chosen)
    yield package / "__pycache__"
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mocksed")


def folder(package: Path, parents: Iterable[Path]) -> Path | None:
    """Return the folder for the compiled code of a package, made now unless it is there.

    Folders of other sources that nobody has used for a day are removed.

    Parameters
    ----------
    package : path
        Folder of the source.
    parents : iterable of path
        Where the folder may be; the first that can be written is taken.

    Returns
    -------
    path or None
        None if none can be written.

    """
    name = f"mocksed-{_checksum(package)}"
    for parent in parents:
        try:
            (parent / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=parent / name):
                pass
            os.utime(parent / name)  # it is in use
        except OSError:
            continue
        long_ago = time.time() - _KEPT
        for other in parent.glob("mocksed-*"):
            with suppress(FileNotFoundError):  # another process was quicker
                if re.fullmatch(r"mocksed-[0-9a-f]{16}", other.name) and other.stat().st_mtime < long_ago:
                    shutil.rmtree(other, ignore_errors=True)
        return parent / name
    return None


_FOLDER = folder(Path(__file__).parent, _parents(Path(__file__).parent))
if _FOLDER is None:
    notes.append(
        "Functions are compiled anew in each job, which takes some 10 s: neither the folder of mocksed nor the home "
        "folder can be written. To keep them, set NUMBA_CACHE_DIR to a folder of yours."
    )


@contextmanager
def _cache() -> Iterator[bool]:
    """Have numba use our folder for functions that are decorated now, and for no one else's."""
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(_FOLDER or "")
    try:
        yield _FOLDER is not None
    finally:
        config.CACHE_DIR = before


def njit(**options: Any) -> Callable[[Callable], Any]:
    """Return the decorator `numba.njit` with these options and our cache."""

    def decorated(function: Callable) -> Any:
        with _cache() as cache:
            return numba.njit(cache=cache, **options)(function)

    return decorated


def vectorize(signatures: list[str]) -> Callable[[Callable], Any]:
    """Return the decorator `numba.vectorize` for these signatures with our cache."""

    def decorated(function: Callable) -> Any:
        with _cache() as cache:
            return numba.vectorize(signatures, cache=cache)(function)

    return decorated
