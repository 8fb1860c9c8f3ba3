"""Memory-mapped tables, for data that are too large for a copy in every process of a node.

A table is an HDF5 file with a contiguous dataset of float32 for each column, so that a column is a stretch of the file
that any program can map. Attributes carry its unit, its description and a checksum; the metadata are attributes of the
file, as JSON, with a checksum of them and of those of the columns. Rows are written a block at a time: memory is
bounded by the block, not by the table. In an Arrow IPC file that is written in blocks each column is in as many
pieces: rows are taken 3 times slower, and there are no checksums.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed import __version__, digest, hdf5, jsontext
from mocksed.atomic import replacing
from mocksed.errors import UserError
from mocksed.files.columns import column

SUFFIX = ".h5"

_HEADER_CHECKSUM = "crc32"  # attribute of the file, as that of each column


Append = Callable[[Mapping[str, NDArray]], None]


@contextmanager
def writing(
    path: Path | str, names: Sequence[str], n_rows: int, metadata: Mapping[str, object] | None = None
) -> Iterator[Append]:
    """Yield a function that appends rows to the table; it appears once it is whole.

    Parameters
    ----------
    path : path
        The file.
    names : sequence of str
        Its columns.
    n_rows : int
        Rows that will be appended in all.
    metadata : mapping of str to object, optional
        Stored with the file, each value as JSON.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.

    """
    with replacing(path) as temporary, hdf5.created(temporary) as (file, check):
        datasets = {name: file.create_dataset(name, (n_rows,), np.float32) for name in names}
        checksums = dict.fromkeys(names, 0)
        written = 0

        def append(rows: Mapping[str, NDArray]) -> None:
            nonlocal written
            stop = written + len(rows[names[0]])
            for name, dataset in datasets.items():
                values = np.ascontiguousarray(rows[name], np.float32)
                dataset[written:stop] = values
                checksums[name] = zlib.crc32(values.data, checksums[name])
            check()
            written = stop

        yield append
        if written != n_rows:
            raise ValueError(f"{written} rows of {n_rows} were written to {path}")
        for name, dataset in datasets.items():
            if known := column(name):
                dataset.attrs["unit"], dataset.attrs["description"] = known.unit, known.description
            dataset.attrs["crc32"] = checksums[name]
        stored = {"mocksed_version": __version__, **(metadata or {})}
        about = {key: jsontext.dumps(value) for key, value in stored.items()}
        file.attrs.update(about)
        file.attrs[_HEADER_CHECKSUM] = digest.checksum([n_rows, checksums, about])


@dataclass(frozen=True)
class MappedTable:
    """A table on disk, of which only the header is in memory.

    Attributes
    ----------
    path : Path
        The file.
    n_rows : int
        Number of rows.
    metadata : dict
        What was stored with it.
    offset : dict of str to int
        Where each column begins in the file [bytes].
    crc32 : dict of str to int
        Checksum of each column.

    """

    path: Path
    n_rows: int
    metadata: dict[str, Any]
    offset: dict[str, int]
    crc32: dict[str, int]

    def column(self, name: str) -> NDArray[np.float32]:
        """Return a column, memory-mapped and read-only, shape (n_rows, ).

        Raises
        ------
        UserError
            If the table has no such column.

        """
        self._check_has(name)
        if self.n_rows == 0:  # nothing to map
            return np.empty(0, np.float32)
        return np.memmap(self.path, np.float32, "r", self.offset[name], (self.n_rows,))

    def check(self, names: Sequence[str] | None = None) -> None:
        """Read columns, by default all, and compare their checksums.

        Raises
        ------
        UserError
            If one is missing or damaged.

        """
        for name in self.offset if names is None else names:
            self._check_has(name)
            if digest.crc32(self.path, self.offset[name], 4 * self.n_rows) != self.crc32[name]:
                raise UserError(f"{self.path} is damaged: column '{name}' has another checksum. {_REMOVE}")

    def _check_has(self, name: str) -> None:
        if name not in self.offset:
            raise UserError(f"{self.path} has no column '{name}'. {_REMOVE}")


def read(path: Path | str) -> MappedTable:
    """Open a table.

    Raises
    ------
    UserError
        If it is missing, truncated or not such a table.

    """
    try:
        with hdf5.opened(path) as file:
            n_rows = {dataset.shape for dataset in file.values()}
            if len(n_rows) != 1:
                raise ValueError("it is not a table of columns of equal length")
            ((n,),) = n_rows
            crc32 = {name: int(dataset.attrs["crc32"]) for name, dataset in file.items()}
            about = dict(file.attrs)
            if int(about.pop(_HEADER_CHECKSUM)) != digest.checksum([int(n), crc32, about]):
                raise ValueError("it is damaged: its header has another checksum")
            return MappedTable(
                path=Path(path),
                n_rows=int(n),
                metadata={key: json.loads(value) for key, value in about.items()},
                offset={name: dataset.id.get_offset() or 0 for name, dataset in file.items()},
                crc32=crc32,
            )
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"cannot read {path}: {error}. {_REMOVE}") from error


_REMOVE = "Remove it and run again: it will be made again."
