"""Files that other programs open, from the catalogue of a finished run and what a survey sees of it.

A format is one function that writes rows; a client is columns under its names and in its units, and the format that it
reads. Both are looked up in `EXPORTERS`; adding one is a line there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mocksed import storage
from mocksed.errors import UserError, suggestion
from mocksed.export import clients, formats, source
from mocksed.export.source import Rows, Source


@dataclass(frozen=True)
class Exporter:
    """A file for a program.

    Attributes
    ----------
    description : str
        What it is, in a few words.
    suffix : str
        End of the names of its files.
    write : callable
        Writes rows to a path.
    layout : callable, optional
        Returns the columns under the names of a client (`mocksed.export.clients`); without it columns are as they are.
    beside : callable, optional
        Returns files of text that belong to it: suffix to content.

    """

    description: str
    suffix: str
    write: formats.Write
    layout: Callable[[Source], clients.Layout] | None = None
    beside: Callable[[clients.Layout], Mapping[str, str]] | None = None


_catalogue = partial(formats.text_columns, missing=-99.0)

EXPORTERS: dict[str, Exporter] = {
    "fits": Exporter("FITS binary table", ".fits", formats.fits),
    "ecsv": Exporter("ECSV, text of astropy with units", ".ecsv", formats.ecsv),
    "votable": Exporter("VOTable", ".vot", formats.votable),
    "csv": Exporter("CSV", ".csv", formats.csv),
    "hdf5": Exporter("HDF5, a dataset for each column", ".h5", formats.hdf5_columns),
    "parquet": Exporter("Parquet", ".parquet", formats.parquet),
    "jaguar": Exporter("FITS with the columns of the JAGUAR mocks", ".fits", formats.fits, clients.jaguar),
    "dream": Exporter("HDF5 as DREaM_photo.h5", ".h5", formats.hdf5_columns, clients.dream),
    "romanisim": Exporter("ECSV of sources for romanisim", ".ecsv", formats.ecsv, clients.romanisim),
    "eazy": Exporter(
        "text for EAZY, with its files of names and filters", ".cat", _catalogue, clients.eazy, clients.eazy_beside
    ),
    "lephare": Exporter(
        "text for LePhare, with lines of its parameters", ".in", _catalogue, clients.lephare, clients.lephare_beside
    ),
    **{
        f"photerr_{survey}": Exporter(
            f"Parquet for photerr's model of {survey}", ".parquet", formats.parquet, clients.photerr(survey)
        )
        for survey in clients.PHOTERR_BANDS
    },
    "rail": Exporter("Parquet for RAIL, LSST", ".parquet", formats.parquet, clients.rail),
}


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
        Names or patterns (``mag_*``) of the catalogue's columns, by default all; none for a client, whose are fixed.
    where : str, optional
        Condition on the rows (`mocksed.export.where`).
    output : path, optional
        The file, or with ``by_shard`` the folder; by default ``RESULTS/R/export/R_FORMAT.SUFFIX``, without FORMAT for
        those that are no clients, and ``RESULTS/R/export/FORMAT``.
    by_shard : bool
        One file a shard instead of one.

    Raises
    ------
    UserError
        If the format, a column or the run is not there, the condition cannot be used, a column that the client needs is
        missing, or the file cannot be written. Then nothing was.

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
        parts = {folder / f"{path.stem}{exporter.suffix}": part for path, part in _shards(files)}
    else:
        parts = {Path(output or Path(results, run, "export", name_of(run, format_))): files}
    beside = exporter.beside(layout) if exporter.beside and layout else {}
    for path in parts:
        _check_output(path, files)
    prepared = [(path, rows_of(part)) for path, part in parts.items()]
    for path, rows in prepared:
        with storage.replacing(path) as temporary:
            exporter.write(temporary, rows)
        for suffix, text in beside.items():
            with storage.replacing(path.with_suffix(suffix)) as temporary:
                temporary.write_text(text)
    return [path for path, _ in prepared]


def name_of(run: str, format_: str) -> str:
    """Return the default name of the file."""
    exporter = _exporter(format_)
    return f"{run}_{format_}{exporter.suffix}" if exporter.layout else f"{run}{exporter.suffix}"


def _exporter(format_: str) -> Exporter:
    if format_ not in EXPORTERS:
        raise UserError(
            f"there is no format {format_!r}{suggestion(format_, EXPORTERS)}; there are {', '.join(EXPORTERS)}."
        )
    return EXPORTERS[format_]


def _shards(files: Source) -> Iterator[tuple[Path, Source]]:
    yield from zip(files.catalogue, source.shards(files), strict=True)


def _check_output(path: Path, files: Source) -> None:
    """Stop before any work where the output cannot be."""
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder. Name a file.")
    if path.resolve() in {other.resolve() for other in (*files.catalogue, *files.survey)}:
        raise UserError(f"cannot write {path}: it is a file of the run itself. Name another one.")
