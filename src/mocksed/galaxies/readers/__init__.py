"""Tables of the formats that the field uses, read in chunks of Arrow columns.

Every reader offers the same: the names of the columns, why some cannot be used, and the chosen columns chunk by chunk,
so that memory does not grow with the table (except for VOTables, which astropy reads as a whole). Types are kept (byte
order apart); missing values are null. Several files of the same columns are one table.
"""

import dataclasses
import difflib
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from mocksed.errors import UserError
from mocksed.galaxies.files import Files, files_of
from mocksed.galaxies.readers.arrow import open_arrow, open_parquet
from mocksed.galaxies.readers.fits import open_fits
from mocksed.galaxies.readers.hdf5 import open_hdf5
from mocksed.galaxies.readers.interface import CHUNK_ROWS, READ_ERRORS, ReadChunks, Table, with_elements
from mocksed.galaxies.readers.several import several
from mocksed.galaxies.readers.text import open_ecsv, open_separated
from mocksed.galaxies.readers.votable import count_rows as count_votable_rows
from mocksed.galaxies.readers.votable import open_votable

__all__ = ["CHUNK_ROWS", "FORMATS", "GZIPPED", "Table", "count_rows", "open_table"]


FORMATS = {
    "parquet": (".parquet", ".pq"),
    "arrow": (".feather", ".arrow", ".ipc"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "ascii": (".cat", ".dat", ".txt", ".fout"),
    "ecsv": (".ecsv",),
    "votable": (".vot", ".votable", ".xml"),
    "fits": (".fits", ".fit"),
    "hdf5": (".hdf5", ".h5", ".hdf"),
}
"""Formats and the endings by which they are known, in capitals or not."""

GZIPPED = ("csv", "tsv", "ascii", "ecsv", "votable", "fits")
"""Formats of which ``.gz`` may follow the ending."""


_OPENERS: dict[str, Callable[[Path, str | int | None], AbstractContextManager[Table]]] = {
    "parquet": open_parquet,
    "arrow": open_arrow,
    "csv": lambda path, _: open_separated(path, ","),
    "tsv": lambda path, _: open_separated(path, "\t"),
    "ascii": lambda path, _: open_separated(path, " "),
    "ecsv": open_ecsv,
    "votable": open_votable,
    "fits": open_fits,
    "hdf5": open_hdf5,
}


@contextmanager
def open_table(path: Path | Files, file_format: str = "auto", dataset: str | int | None = None) -> Iterator[Table]:
    """Open a table to read it in chunks.

    Parameters
    ----------
    path : Path or Files
        The file, a pattern of several (see `mocksed.galaxies.files`), or several; their rows follow each other.
    file_format : str
        One of `FORMATS`, or auto: by the ending of the path.
    dataset : str or int, optional
        FITS: extension (default 1); HDF5: group or table within the file; VOTable: ID, name or number of the table
        (default 0).

    Yields
    ------
    Table

    Raises
    ------
    UserError
        If a file is missing, cannot be read, is of an unknown format, has two columns of the same name or other columns
        than the first one; also from ``Table.read`` when the file turns out to be damaged.

    """
    files = files_of(path)
    if len(files) > 1:
        table = several(files, lambda file: _open_file(file, file_format, dataset))
        yield dataclasses.replace(table, read=with_elements(table))
        return
    with _open_file(files[0], file_format, dataset) as table:
        if not (table.columns or table.unusable):
            raise UserError(f"{files[0]} holds no columns. Set galaxies.table.dataset to where they are.")
        yield dataclasses.replace(table, read=with_elements(table))


def count_rows(path: Path | Files, file_format: str = "auto", dataset: str | int | None = None) -> tuple[int, bool]:
    """Return the number of rows of a table, and whether that is what it says, not an estimate; quick for any format.

    For the parameters and errors see `open_table`.
    """
    files = files_of(path)
    if {_format_of(file) if file_format == "auto" else file_format for file in files} == {"votable"}:
        counts = []
        for file in files:
            with _naming(file):
                counts.append(count_votable_rows(file, dataset))
        return sum(n for n, _ in counts), all(counted for _, counted in counts)
    with open_table(path, file_format, dataset) as table:
        return table.n_rows, table.counted


@contextmanager
def _open_file(path: Path, file_format: str, dataset: str | int | None) -> Iterator[Table]:
    if not os.path.exists(path):
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        hint = f" Did you mean {path.parent / close[0]}?" if close else ""
        raise UserError(f"{path} does not exist (galaxies.table.path).{hint}")
    if path.is_dir():
        raise UserError(f"{path} is a folder: galaxies.table.path must be a file, or a pattern such as {path}/*.hdf5.")
    opener = _OPENERS[_format_of(path) if file_format == "auto" else file_format]
    with ExitStack() as stack:  # what goes wrong while the caller works is not the file's fault
        with _naming(path):
            table = stack.enter_context(opener(path, dataset))
        names = (*table.columns, *table.unusable)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(f"{path}: more than one column is called '{twice[0]}'. Rename them: names must be unique.")
        yield dataclasses.replace(table, read=_guarded(path, table.read))


def _format_of(path: Path) -> str:
    name = path.name.lower()
    for file_format, endings in FORMATS.items():
        if name.endswith(endings) or (file_format in GZIPPED and name.removesuffix(".gz").endswith(endings)):
            return file_format
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise UserError(
        f"{path}: its file extension does not determine the format (known: {known}; .gz may follow those of "
        f"{', '.join(GZIPPED)}). "
        f"Set galaxies.table.format to one of {', '.join(FORMATS)}."
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn any exception of the libraries into one message that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the libraries make up for
            warnings.filterwarnings("error", message=".*truncated.*")
            yield
    except UserError:
        raise
    except (*READ_ERRORS, UserWarning) as error:
        reason = str((isinstance(error, OSError) and error.strerror) or error).rstrip(".")
        raise UserError(
            f"cannot read {path}: {reason}. Check that the file is whole and that galaxies.table.format is right."
        ) from error


def _guarded(path: Path, read: ReadChunks) -> ReadChunks:
    def guarded(columns: Sequence[str], chunk_rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
        chunks = read(columns, chunk_rows)
        while True:  # the consumer's errors are not the file's: only the step of the reader is watched
            with _naming(path):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    return guarded
