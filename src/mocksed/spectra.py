"""Spectra as files: one row per galaxy, in any window of wavelengths.

They follow from the catalogue alone, whose metadata name the model: the spectra of a run, of one shard or of a few
galaxies are made in the same way and, in the same window, have the same bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from mocksed import __version__, catalog, digest, light, realisations
from mocksed.atomic import replacing
from mocksed.errors import UserError, no_file, suggestion
from mocksed.files import provenance, storage
from mocksed.files.columns import LYA_ESCAPE
from mocksed.files.storage import parquet_writer, to_table
from mocksed.progress import Progress, log
from mocksed.sps import from_config
from mocksed.sps.engine import Engine
from mocksed.sps.fsps import ReferenceEngine

NEEDED = (
    "galaxy_id",
    "quiescent",
    "log_mstar",
    "mass_fraction",
    "age",
    "tau",
    "dust2",
    "dust_index",
    "log_zmet",
    "log_us",
)
"""Columns of the catalogue from which a spectrum follows."""

OPTIONAL = (realisations.COLUMN, LYA_ESCAPE)
"""Columns that matter where a catalogue has them."""

Limits = tuple[float, float]

WAVELENGTH: Limits = (91.2, 1e8)
"""Default of the config's ``spectra.wavelength``: rest-frame wavelengths to keep [A]."""


class Setup(NamedTuple):
    """How the spectra of a catalogue are made: model, metadata of the files, IGM."""

    engine: Engine | ReferenceEngine
    about: dict[str, Any]
    igm: str


def setup_of(
    catalogue: Path | str,
    ssp_table: Path | str | None = None,
    engine_of: Callable[[Mapping[str, Any]], Engine | ReferenceEngine] = from_config.of,
) -> Setup:
    """Return how the spectra of a catalogue are made, from the config's ``sps`` in the metadata of one of its shards.

    Parameters
    ----------
    catalogue : path
        The shard.
    ssp_table : path, optional
        Path of its SSP table, by default the recorded one.
    engine_of : callable
        Returns the engine of a config's ``sps``: `mocksed.sps.from_config.of`, or a function that keeps it.

    Raises
    ------
    UserError
        If the shard cannot be read, or was made with another SSP table or FSPS.

    """
    stored = storage.metadata(catalogue)
    if "sps" not in stored:
        raise UserError(f"{catalogue} does not record how its spectra are made: it is not a catalogue of this version.")
    if stored["mocksed_version"] != __version__:
        log.warning("%s was made by mocksed %s; this is %s and its spectra may differ.",
                    catalogue, stored["mocksed_version"], __version__)  # fmt: skip
    sps = stored["sps"] | ({} if ssp_table is None else {"table": str(ssp_table)})
    about = provenance.of_file(catalogue)
    if sps["engine"] == "table":
        _check_table(catalogue, sps["table"], about["ssp_table"])
    engine = engine_of(sps)
    if sps["engine"] == "fsps" and (installed := provenance.of_engine(engine, sps)["fsps"]) != about["fsps"]:
        raise UserError(
            f"{catalogue} was made with another FSPS, {about['fsps']}; the installed one is {installed}. "
            "Use the former."
        )
    return Setup(engine, about, sps["igm"])


def _check_table(catalogue: Path | str, table: str, made_with: Mapping[str, Any]) -> None:
    """Stop if an SSP table is missing or not the one that a catalogue was made with."""
    hint = "Put it there or name its place: --ssp-table, in Python ssp_table"
    expected = f"the SSP table {made_with['file']} with the SHA-256 {made_with['sha256']}"
    if no_file(table):
        raise UserError(
            f"{catalogue} was made with {expected}, which is not at {table}, seen from {Path.cwd()}. {hint}."
        )
    if (sha256 := digest.sha256(table)) != made_with["sha256"]:
        raise UserError(
            f"{catalogue} was made with {expected}; {table} is another one, {sha256}. {hint}; or remove the catalogue "
            "and run again."
        )


def of_run(
    run: str,
    galaxy_id: ArrayLike,
    results: Path | str = "results",
    ssp_table: Path | str | None = None,
    realisation: int | None = None,
    wavelength: Limits = WAVELENGTH,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return spectra of some galaxies of a finished run, computed from its catalogue.

    Parameters
    ----------
    run : str
        Name of the run.
    galaxy_id : array_like of shape (n, )
        The galaxies, in any order; one that is named twice is returned twice.
    results : path
        The config's ``results``.
    ssp_table : path, optional
        Path of its SSP table, by default the recorded one.
    realisation : int, optional
        In which realisation, by default the first one of the run.
    wavelength : tuple of float
        Rest-frame wavelengths to keep [A].

    Returns
    -------
    wavelength : ndarray of shape (n_wave, )
        Rest frame [A, vacuum].
    spectra : ndarray of shape (n, n_wave)
        Rest-frame L_nu [Lsun/Hz], at each wavelength the same number as in ``<results>/<run>/spectra``.

    Raises
    ------
    UserError
        If the run, a galaxy or the realisation does not exist, files are damaged, the SSP table is missing or
        another one, or the spectra have no wavelength in the window.

    """
    columns, setup = selected(run, galaxy_id, results, ssp_table, realisation)
    kept = window(setup.engine.wavelength, wavelength)
    flux = [block[:, kept] for _, block in light.spectra(columns, setup.engine, window=_within(kept))]
    n_wave = kept.stop - kept.start
    return setup.engine.wavelength[kept], np.concatenate([np.empty((0, n_wave), np.float32), *flux])


def write_of_run(
    path: Path | str,
    run: str,
    galaxy_id: ArrayLike,
    results: Path | str = "results",
    ssp_table: Path | str | None = None,
    progress: Progress | None = None,
    realisation: int | None = None,
    wavelength: Limits = WAVELENGTH,
) -> None:
    """Write the spectra of some galaxies of a finished run to a file like that of a run; arguments as in `of_run`."""
    columns, setup = selected(run, galaxy_id, results, ssp_table, realisation)
    write(path, columns, setup.engine, wavelength, setup.about, progress)


def selected(
    run: str,
    galaxy_id: ArrayLike,
    results: Path | str,
    ssp_table: Path | str | None,
    realisation: int | None,
    names: Sequence[str] = NEEDED,
) -> tuple[dict[str, NDArray], Setup]:
    """Return columns of some galaxies of a run, and how their spectra are made; arguments as in `of_run`."""
    paths, ids = catalogue_of(run, results), np.asarray(galaxy_id)
    if ids.size and ids.dtype.kind not in "iu":
        raise UserError(f"galaxies are identified by integers (galaxy_id); {ids.flat[0]} is not an integer.")
    with storage.open_table(paths[0]) as file:
        names = [*names, *([LYA_ESCAPE] if LYA_ESCAPE in file.schema_arrow.names else [])]
    columns = catalog.find(paths, ids.astype(np.int64).reshape(-1), names, realisation)
    shards = [paths[i] for i in np.unique(columns.pop("shard"))] or paths[:1]
    for other in shards[1:]:
        if _common_metadata(other) != _common_metadata(shards[0]):
            raise UserError(
                f"{shards[0]} and {other} were not made in the same way. Remove {paths[0].parent} and run again."
            )
    return columns, setup_of(shards[0], ssp_table)


def _common_metadata(shard: Path) -> dict[str, Any]:
    """Return the metadata that all shards of a catalogue share: all but the number of the shard."""
    about = storage.metadata(shard)
    n_shards = about.pop(provenance.SHARD, [None, None])[1]
    return about | {"shards": n_shards}


def catalogue_of(run: str, results: Path | str = "results") -> list[Path]:
    """Return the shards of the catalogue of a run.

    Raises
    ------
    UserError
        If the run has no catalogue.

    """
    paths = sorted(Path(results, run, "catalog").glob("[0-9]*.parquet"))
    if not paths:
        known = sorted({path.parent.parent.name for path in Path(results).glob("*/catalog/[0-9]*.parquet")})
        there = f"there is {', '.join(known)}" if known else "nor of any other run"
        raise UserError(
            f"there is no catalogue of a run {run!r} in {Path(results).absolute()}{suggestion(run, known)}; {there}."
        )
    return paths


def window(wavelength: NDArray[np.float64], limits: Limits) -> slice:
    """Return the wavelengths [A] within ``limits``, both included.

    Raises
    ------
    UserError
        If there are none.

    """
    low, high = limits
    start, stop = int(np.searchsorted(wavelength, low)), int(np.searchsorted(wavelength, high, "right"))
    if start >= stop:
        raise UserError(
            f"the spectra have no wavelength between {low:g} and {high:g} A; they range from {wavelength[0]:g} to "
            f"{wavelength[-1]:g} A."
        )
    return slice(start, stop)


def _within(kept: slice) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """Return the ``window`` of `mocksed.light.spectra` that holds these wavelengths of all galaxies."""
    return lambda rows: np.full((len(rows), 2), [kept.start, kept.stop])


def write(
    path: Path | str,
    columns: Mapping[str, NDArray],
    engine: Engine | ReferenceEngine,
    limits: Limits,
    metadata: Mapping[str, object],
    progress: Progress | None = None,
) -> None:
    """Write the spectra of a catalogue to a Parquet file, whole or not at all, holding one block at a time.

    Parameters
    ----------
    path : path
        The file: ``galaxy_id``, ``realisation`` where there is one, and ``spectrum``, a list of float32 of fixed size,
        rest-frame L_nu [Lsun/Hz]; its metadata hold ``wavelength``, a JSON list [A, vacuum].
    columns : mapping of str to ndarray of shape (n, )
        `NEEDED`, and those of `OPTIONAL` that it has.
    engine : Engine or ReferenceEngine
        The stellar population model.
    limits : tuple of float
        Rest-frame wavelengths to keep [A].
    metadata : mapping
        Further metadata, stored as JSON.
    progress : Progress, optional
        Counts the galaxies that are done.

    """
    kept = window(engine.wavelength, limits)
    wavelength = [float(x) for x in engine.wavelength[kept]]
    spectra = light.spectra(columns, engine, progress, window=_within(kept))
    blocks = ((rows, flux[:, kept]) for rows, flux in spectra)
    write_blocks(path, columns, "spectrum", len(wavelength), blocks, dict(metadata) | {"wavelength": wavelength})


def write_blocks(
    path: Path | str,
    columns: Mapping[str, NDArray],
    name: str,
    n_wave: int,
    blocks: Iterable[tuple[slice, NDArray[np.float32]]],
    metadata: Mapping[str, object],
) -> None:
    """Write spectra that come in blocks of rows to a Parquet file, whole or not at all.

    Parameters
    ----------
    path : path
        The file.
    columns : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, and ``realisation`` where there is one.
    name : str
        Column of the spectra.
    n_wave : int
        Values of a spectrum.
    blocks : iterable of slice and ndarray of shape (rows, n_wave)
        The spectra.
    metadata : mapping
        Stored as JSON.

    """

    def table(rows: slice, values: NDArray[np.float32]) -> pa.Table:
        keys = {key: column[rows] for key, column in realisations.keys(columns).items()}
        return to_table(keys | {name: values}, metadata)

    schema = table(slice(0, 0), np.empty((0, n_wave), np.float32)).schema
    with replacing(path) as temporary, parquet_writer(temporary, schema) as writer:
        for rows, values in blocks:
            writer.write_table(table(rows, values))


def read_wavelength(path: Path | str) -> NDArray[np.float64]:
    """Return the rest-frame wavelengths of a file of spectra [A, vacuum], shape (n_wave, )."""
    return np.array(storage.metadata(path)["wavelength"])
