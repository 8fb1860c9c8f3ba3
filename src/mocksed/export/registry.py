"""The formats by name, and the writing of files.

A format is one function that writes rows; a client is columns under its names and in its units, and the format that it
reads. Both are looked up in `EXPORTERS`; adding one is a line there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mocksed import atomic
from mocksed.errors import UserError, suggestion
from mocksed.export import FILES, clients, file_name, formats, source
from mocksed.export.source import Rows, Source


@dataclass(frozen=True)
class Exporter:
    """A file for a program.

    Attributes
    ----------
    description : str
        What it is, in a few words.
    write : callable
        Writes rows to a path.
    layout : callable, optional
        Returns the columns under the names of a client (`mocksed.export.clients`); without it columns are as they are.
    beside : callable, optional
        Returns files of text that belong to it: suffix to content.

    """

    description: str
    write: formats.Write
    layout: Callable[[Source], clients.Layout] | None = None
    beside: Callable[[clients.Layout], Mapping[str, str]] | None = None


_catalogue = partial(formats.text_columns, missing=-99.0)

EXPORTERS: dict[str, Exporter] = {
    "fits": Exporter("FITS binary table", formats.fits),
    "ecsv": Exporter("ECSV, text of astropy with units", formats.ecsv),
    "votable": Exporter("VOTable", formats.votable),
    "csv": Exporter("CSV", formats.csv),
    "hdf5": Exporter("HDF5, a dataset for each column", formats.hdf5_columns),
    "parquet": Exporter("Parquet, one file", formats.parquet),
    "jaguar": Exporter("FITS with the columns of the JAGUAR mocks", formats.fits, clients.jaguar),
    "dream": Exporter("HDF5 with datasets of DREaM_photo.h5", formats.hdf5_columns, clients.dream),
    "romanisim": Exporter("ECSV of sources for romanisim", formats.ecsv, clients.romanisim),
    "eazy": Exporter("text for EAZY, beside it names and filters", _catalogue, clients.eazy, clients.eazy_beside),
    "lephare": Exporter("text for LePhare, beside it parameters", _catalogue, clients.lephare, clients.lephare_beside),
    "photerr_lsst": Exporter("Parquet for photerr, LSST", formats.parquet, clients.photerr("lsst")),
    "photerr_euclid": Exporter("Parquet for photerr, Euclid", formats.parquet, clients.photerr("euclid")),
    "photerr_roman": Exporter("Parquet for photerr, Roman", formats.parquet, clients.photerr("roman")),
    "rail": Exporter("Parquet for RAIL, LSST", formats.parquet, clients.rail),
}
"""How each of `mocksed.export.FILES` is written."""


def write_of_run(
    format_: str,
    run: str,
    results: Path | str = "results",
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    output: Path | str | None = None,
    by_shard: bool = False,
) -> list[Path]:
    """Write the galaxies of a finished run for another program; return the paths of the files.

    Parameters
    ----------
    format_ : str
        A key of `EXPORTERS`.
    run : str
        Name of the run.
    results : path
        Folder of results.
    columns : sequence of str, optional
        Names or patterns (``mag_*``) of the catalogue's columns, by default all; not for a client, whose columns
        are fixed.
    where : str, optional
        Condition on the rows (`mocksed.export.where`).
    output : path, optional
        The file, or with ``by_shard`` the folder; by default in ``RESULTS/R/export``, named as
        `mocksed.export.FILES` says or by the format.
    by_shard : bool
        One file a shard instead of one.

    Raises
    ------
    UserError
        If the format, a column or the run does not exist, the condition cannot be used, a column that the client needs
        is missing, or the file cannot be written. Then no file is written.

    """
    exporter = _exporter(format_)
    files = source.of_run(run, results)
    if exporter.layout is None:
        names = source.chosen(columns or ["*"], files.schema)
        layout = None
    elif columns:
        raise UserError(f"the columns of {format_} are those that it reads: leave out --columns.")
    else:
        layout = exporter.layout(files)
        names = []

    def rows_of(part: Source) -> Rows:
        return part.rows(names, where) if layout is None else clients.rows(part, layout, where)

    if by_shard:
        folder = Path(output or Path(results, run, "export", format_))
        parts = {folder / f"{path.stem}{Path(FILES[format_]).suffix}": part for path, part in _shards(files)}
    else:
        parts = {Path(output or Path(results, run, "export", file_name(format_, run))): files}
    beside = exporter.beside(layout) if exporter.beside and layout else {}
    for path in parts:
        _check_output(path, files)
    prepared = [(path, rows_of(part)) for path, part in parts.items()]
    for path, rows in prepared:
        with atomic.replacing(path) as temporary:
            exporter.write(temporary, rows)
        for suffix, text in beside.items():
            with atomic.replacing(path.with_suffix(suffix)) as temporary:
                temporary.write_text(text)
    return [path for path, _ in prepared]


def _exporter(format_: str) -> Exporter:
    if format_ not in EXPORTERS:
        raise UserError(
            f"there is no format {format_!r}{suggestion(format_, EXPORTERS)}; expected one of {', '.join(EXPORTERS)}."
        )
    return EXPORTERS[format_]


def _shards(files: Source) -> Iterator[tuple[Path, Source]]:
    yield from zip(files.catalogue, source.shards(files), strict=True)


def _check_output(path: Path, files: Source) -> None:
    """Stop before any work if the output cannot be written there."""
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder. Name a file.")
    if path.resolve() in {other.resolve() for other in (*files.catalogue, *files.survey)}:
        raise UserError(f"cannot write {path}: it is a file of the run itself. Name another one.")
