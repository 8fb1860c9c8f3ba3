"""Copies of read-only files on the local disk of a node, where the disk of the results is slow.

Snakemake's storage plugins copy every input of every job, which takes longer than to read it in place
(benchmarks/staging.txt). Here a copy is made once for all jobs of a node and is left there for those that follow; each
job deletes copies of older versions of the file, and copies that were not used for a day. Copies are in a folder that
no other user can write, and their checksums are in their names.
"""

import fcntl
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mocksed import digest
from mocksed.atomic import replacing
from mocksed.errors import UserError
from mocksed.progress import log

_KEPT = 86_400.0  # seconds after its last use


def scratch_of(config: Mapping[str, Any]) -> str | None:
    """Return ``neighbours.scratch`` of a config as the user gave it.

    Jobs read it there: if it were one of their parameters, Snakemake would repeat finished work when it changes.
    """
    scratch: str | None = config.get("neighbours", {}).get("scratch")
    return scratch


def local(path: Path | str, scratch: str | None) -> Path:
    """Return where a file is to be read: a copy below ``scratch``, made now unless it is there.

    Where the disk cannot hold the copy, the file is read in place and the log says so.

    Parameters
    ----------
    path : path
        The file; a job that makes it again replaces it as a whole.
    scratch : str or None
        A folder on a local disk, in which environment variables and ~ are expanded; None to read in place.

    Raises
    ------
    UserError
        If the file is missing, or the folder cannot be used or is not safe from other users.

    """
    path = Path(path)
    if scratch is None:
        return path
    folder = _folder(scratch)
    try:
        size, mtime = path.stat().st_size, path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Run again: it will be made again.") from error
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    version = f"{name}-{size}-{mtime}"
    with _lock(folder / f"{name}.lock"):
        for copy in folder.glob(f"{version}-*{path.suffix}"):
            if copy.name == f"{version}-{digest.crc32(copy):08x}{path.suffix}":
                os.utime(copy)
                return copy
            log.warning("%s is damaged and is copied again.", copy)
        _remove_old(folder, name)
        free = shutil.disk_usage(folder).free
        if free < size:
            log.warning(
                "%s is read in place: %s has %.1f GB free, it needs %.1f.", path, folder, free / 1e9, size / 1e9
            )
            return path
        start = time.perf_counter()
        crc = digest.crc32(path)
        copy = folder / f"{version}-{crc:08x}{path.suffix}"
        try:
            with replacing(copy) as temporary:
                shutil.copyfile(path, temporary)
                if digest.crc32(temporary) != crc:
                    raise OSError("the copy has another checksum than the file")
        except UserError as error:
            log.warning("%s is read in place: %s", path, error)
            return path
        log.info("copied %s, %.2f GB, to %s in %.1f s", path, size / 1e9, copy, time.perf_counter() - start)
    return copy


def _folder(scratch: str) -> Path:
    """Return the folder of this user below ``scratch``, which no other user can write, replace or have made."""
    expanded = os.path.expanduser(os.path.expandvars(scratch))
    if unknown := re.search(r"\$\{?\w+\}?", expanded):
        raise UserError(
            f"neighbours.scratch: {scratch} cannot be used, {unknown[0]} is not set on this node. Name a folder that "
            "every node has, or null."
        )
    folder = Path(expanded, f"mocksed-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"neighbours.scratch: cannot make {folder}: {error.strerror}. Name a folder that every node has, or null."
        ) from error
    about, above = folder.lstat(), folder.parent.stat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise UserError(
            f"neighbours.scratch: {folder} is a link, belongs to another user or can be read or written by others; "
            "expected a folder of mode 0700. Remove it, or name another scratch."
        )
    if above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX:
        raise UserError(
            f"neighbours.scratch: all users can rename what is in {folder.parent}. Set its sticky bit (chmod +t), or "
            "name a folder that is yours."
        )
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock; it ends with the process, however that ends."""
    try:
        with open(path, "w", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise UserError(
            f"neighbours.scratch: cannot use {path.parent}: {error.strerror}. Name a folder on a local disk, or null."
        ) from error


def _remove_old(folder: Path, name: str) -> None:
    """Remove other versions of a file and any copies that were not used for long; processes that map one keep it."""
    long_ago = time.time() - _KEPT
    for copy in folder.glob("*-*"):
        with suppress(FileNotFoundError):  # another job was quicker
            if copy.name.startswith(f"{name}-") or copy.stat().st_mtime < long_ago:
                copy.unlink()
