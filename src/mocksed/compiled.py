"""Compiled functions: numba's decorators, with a cache keyed by all of the source that is compiled.

numba keeps compiled functions by the source of their own file. What they call is compiled into them, so that a change
of another file would leave the old code in use, with its old numbers. Here the folder of the cache has a checksum in
its name, of the module and of all of mocksed that it imports, directly or not: no source ever meets code that was
compiled from another, and a change elsewhere leaves the code in use.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

notes: list[str] = []
"""What users should know about the compilation of functions here; jobs log it."""

_THREADS = os.environ.get("NUMBA_NUM_THREADS", "1")
if not re.fullmatch(r"\s*\+?0*[1-9][0-9]*\s*", _THREADS):  # numba's import would fail, or warn
    del os.environ["NUMBA_NUM_THREADS"]
    notes.append(f"NUMBA_NUM_THREADS={_THREADS} is not a number of threads: all cores are used.")

import numba  # noqa: E402
from numba import get_num_threads, prange, set_num_threads  # noqa: E402

__all__ = ["folder", "get_num_threads", "njit", "notes", "prange", "set_num_threads", "sources", "vectorize"]

_KEPT = 86_400.0  # seconds that code of another source is kept after its last use: a job may be at it


_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.*)|import[ \t]+(.*))$", re.MULTILINE)


@cache
def _imported(path: Path, package: Path) -> frozenset[Path]:
    """Return the files of a package that a file of it imports anywhere; a pattern is five times quicker than `ast`."""
    files = set()
    for module, names, modules in _IMPORT.findall(path.read_text(encoding="utf-8")):
        dotted = [module, *(f"{module}.{name}" for name in re.findall(r"\w+", names))] if module else modules.split(",")
        for name in dotted:
            inside = package.parent.joinpath(*name.split()[0].split("."))
            files |= {file for file in (inside.with_suffix(".py"), inside / "__init__.py") if file.is_file()}
    return frozenset(files)


def sources(path: Path, package: Path) -> set[Path]:
    """Return the files of a package that a module of it consists of: its own, and those that it imports, and so on.

    Parameters
    ----------
    path : path
        File of the module.
    package : path
        Folder of the package; what is imported by relative names is not seen.

    """
    files: set[Path] = set()
    ahead = [path]
    while ahead:
        file = ahead.pop()
        if file not in files:
            files.add(file)
            ahead.extend(_imported(file, package))
    return files


def _checksum(package: Path, files: Iterable[Path]) -> str:
    """Return a checksum of files of a package, with their names."""
    digest = hashlib.sha256()
    for path in sorted(files):
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


def folder(module: Path, package: Path, parents: Iterable[Path]) -> Path | None:
    """Return the folder for the compiled code of a module, made now unless it is there.

    Folders of other sources that were not used for a day are removed.

    Parameters
    ----------
    module, package : path
        File of the module, folder of the package that it belongs to.
    parents : iterable of path
        Where the folder may be; the first that can be written is used.

    Returns
    -------
    path or None
        None if none can be written.

    """
    name = f"mocksed-{_checksum(package, sources(module, package))}"
    for parent in parents:
        try:
            (parent / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=parent / name):
                pass
            os.utime(parent / name)  # it is in use
        except OSError:
            continue
        long_ago = time.time() - _KEPT
        for old in parent.glob("mocksed-*"):
            with suppress(FileNotFoundError):  # another process was quicker
                if re.fullmatch(r"mocksed-[0-9a-f]{16}", old.name) and old.stat().st_mtime < long_ago:
                    shutil.rmtree(old, ignore_errors=True)
        return parent / name
    return None


_PACKAGE = Path(__file__).parent


@cache
def _folder_of(module: str) -> Path | None:
    """Return the folder for the compiled code of a file of this package."""
    return folder(Path(module), _PACKAGE, _parents(_PACKAGE))


if _folder_of(__file__) is None:
    notes.append(
        "Functions are compiled again in each job, which takes some 10 s: neither the folder of mocksed nor the home "
        "folder can be written. To keep them, set NUMBA_CACHE_DIR to a folder of yours."
    )


@contextmanager
def _cache_of(function: Callable) -> Iterator[bool]:
    """Have numba use our folder for the function that is decorated now, and for no other."""
    config: Any = numba.config
    cache_folder = _folder_of(function.__code__.co_filename)
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder or "")
    try:
        yield cache_folder is not None
    finally:
        config.CACHE_DIR = before


def njit(**options: Any) -> Callable[[Callable], Any]:
    """Return the decorator `numba.njit` with these options and our cache."""

    def decorated(function: Callable) -> Any:
        with _cache_of(function) as cached:
            return numba.njit(cache=cached, **options)(function)

    return decorated


def vectorize(signatures: list[str]) -> Callable[[Callable], Any]:
    """Return the decorator `numba.vectorize` for these signatures with our cache."""

    def decorated(function: Callable) -> Any:
        with _cache_of(function) as cached:
            return numba.vectorize(signatures, cache=cached)(function)

    return decorated
