"""Checksums, which reveal damaged and exchanged files."""

import hashlib
import zlib
from pathlib import Path

from mocksed import jsontext
from mocksed.errors import UserError

_READ_AT_ONCE = 1 << 23  # bytes


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` prints it.

    Raises
    ------
    UserError
        If it cannot be read.

    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check the path, seen from {Path.cwd()}.") from error


def crc32(path: Path | str, offset: int = 0, size: int | None = None) -> int:
    """Return the CRC-32 of a stretch of a file, by default of all of it.

    Read in order and in large pieces, which also is the quickest way for it to get into the memory of the node.

    Parameters
    ----------
    path : path
        The file.
    offset, size : int
        Where it begins and its length [bytes].

    Raises
    ------
    UserError
        If it cannot be read.

    """
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            left = Path(path).stat().st_size - offset if size is None else size
            buffer, crc = memoryview(bytearray(min(left, _READ_AT_ONCE))), 0
            while left and (n := file.readinto(buffer[: min(left, len(buffer))])):
                crc, left = zlib.crc32(buffer[:n], crc), left - n
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}. Remove it and run again: it will be made again.") from error
    return crc


def checksum(content: object) -> int:
    """Return the CRC-32 of values that JSON has, however they are laid out in a file."""
    return zlib.crc32(jsontext.dumps(content, sort_keys=True).encode())
