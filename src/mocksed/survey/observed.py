"""What an instrument sees of galaxies: spectra in its bins, redshifted, at their distance and with its resolution.

They follow from the catalogue alone, as those of `mocksed.spectra` do. A bin holds the flux that falls into it, over
its width: no flux is lost between bins or counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import erf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from mocksed import jsontext, light, realisations, spectra
from mocksed.atomic import replacing
from mocksed.compiled import njit, prange
from mocksed.cosmology import Cosmology
from mocksed.errors import UserError, suggestion
from mocksed.files import provenance
from mocksed.files.columns import COLUMNS
from mocksed.progress import Progress, log
from mocksed.sps import igm, photometry
from mocksed.sps.filters import unreachable
from mocksed.sps.table import LIGHT
from mocksed.survey import instruments
from mocksed.survey.instruments import FWHM, REACH, Instrument

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine
    from mocksed.sps.filters import Filter
    from mocksed.sps.fsps import ReferenceEngine

Array = NDArray[np.float64]

NEEDED = (*spectra.NEEDED, "redshift")
"""Columns of the catalogue from which an observed spectrum follows."""

UNITS = ("f_lambda", "f_nu")
"""Columns of flux densities, by name."""

_STEPS = 1024  # in which the response of a bin is tabulated
_MICROJANSKY = 1e-29  # erg/s/cm^2/Hz
_C_KM_S = constants.c / constants.kilo


class Bins(NamedTuple):
    """The bins of an instrument as arrays.

    Attributes
    ----------
    responses : tuple of Filter
        Response of each bin.
    per_f_nu : ndarray of shape (n_bin, )
        Flux in the bin over the mean f_nu in its response [Hz].
    low, high : ndarrays of shape (n_bin, )
        Edges [A].
    first : ndarray of shape (n_part + 1, )
        First bin of each part of the instrument, and their number.
    sigma : ndarray of shape (n_bin, )
        Standard deviation of the line spread function at the centre over that centre.

    """

    responses: tuple[Filter, ...]
    per_f_nu: Array
    low: Array
    high: Array
    first: NDArray[np.intp]
    sigma: Array


@lru_cache(maxsize=4)
def bins_of(instrument: Instrument) -> Bins:
    """Return the bins of an instrument."""
    responses = [response for part in instrument.parts for response in part.responses(instrument.name)]
    # integrals of the response over frequency; as in `photometry`, it is linear in wavelength between its points
    per_f_nu = np.empty(len(responses))
    for i, response in enumerate(responses):
        x, t = response.wavelength, response.transmission
        slope = np.diff(t) / np.diff(x)
        per_f_nu[i] = LIGHT * np.sum((t[:-1] - slope * x[:-1]) * np.diff(np.log(x)) + np.diff(t))
    return Bins(
        responses=tuple(responses),
        per_f_nu=per_f_nu,
        low=instrument.low,
        high=instrument.high,
        first=np.cumsum([0, *(len(part.centres) for part in instrument.parts)]),
        sigma=instrument.fwhm / instrument.wavelength / FWHM,
    )


def complete(observed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``spectra.observed`` completed with the defaults, as in a config.

    Raises
    ------
    UserError
        If a key or the unit is not known, or a number is invalid.

    """
    keys = ("preset", "file", "range", "step", "sampling", "resolution", "fwhm", "unit", "line_width")
    for key in observed.keys() - set(keys):
        raise UserError(f"spectra.observed.{key}: unknown key{suggestion(key, keys)}; allowed: {', '.join(keys)}.")
    for key in ("step", "sampling", "resolution", "fwhm", "line_width"):
        value = observed.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
        if value is not None and not (number and (value > 0.0 or (value == 0.0 and key == "line_width"))):
            raise UserError(f"spectra.observed.{key}: {value!r} is not allowed; expected a number above 0.")
    if observed.get("unit", UNITS[0]) not in UNITS:
        raise UserError(f"spectra.observed.unit: {observed['unit']!r} is not allowed; expected {' or '.join(UNITS)}.")
    return dict.fromkeys(keys) | {"unit": UNITS[0]} | dict(observed)


def problems(observed: Mapping[str, Any], wavelength: Array | None, redshift: Sequence[float]) -> Iterator[str]:
    """Yield what is wrong with a config's ``spectra.observed``.

    Parameters
    ----------
    observed : mapping
        The config's key.
    wavelength : ndarray of shape (n_wave, ), optional
        Of the spectra, rest frame [A], where they are known.
    redshift : sequence of float
        Lowest and highest of the run.

    """
    try:
        instrument = instruments.from_config(observed)
        whole = instrument.whole
    except UserError as error:
        yield str(error).removesuffix(".")
        return
    if wavelength is not None and (problem := unreachable(whole, wavelength, redshift, "grid")):
        yield f"spectra.observed: {problem}; change it, or the redshifts"


def fluxes(
    columns: Mapping[str, NDArray],
    instrument: Instrument,
    *,
    engine: Engine | ReferenceEngine,
    cosmo: Cosmology,
    igm_model: str,
    line_width: float | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[slice, Array]]:
    """Yield the fluxes that fall into the bins of an instrument, in blocks of rows.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        `NEEDED`.
    instrument : Instrument
        Its bins and its line spread function are used.
    engine : Engine or ReferenceEngine
        The stellar population model.
    cosmo : Cosmology
        Cosmology of the distances.
    igm_model : str
        A name that `mocksed.sps.igm.transmission` takes.
    line_width : float, optional
        Standard deviation of emission lines [km/s], to which the instrument adds its own; without it they are as wide
        as FSPS draws them.
    progress : Progress, optional
        Counts the galaxies that are done.

    Yields
    ------
    slice, ndarray of shape (rows, n_bin)
        [erg/s/cm^2]; NaN at redshift 0.

    Raises
    ------
    UserError
        If the instrument looks beyond the spectra of a galaxy.

    """
    bins, wavelength = bins_of(instrument), engine.wavelength
    redshifts = columns["redshift"]
    ends = (float(redshifts.min()), float(redshifts.max())) if len(redshifts) else (0.0, 0.0)
    if len(redshifts) and (problem := unreachable(instrument.whole, wavelength, ends, "grid")):
        raise UserError(f"{problem}.")
    formed = light.mass_formed(columns)

    def window(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return photometry.windows(wavelength, bins.responses, columns["redshift"][rows], steps=_STEPS)

    for block, l_nu in light.spectra(columns, engine, progress, lines=line_width is None, window=window):
        redshift = columns["redshift"][block]
        begin = window(np.arange(block.start, block.stop))[:, 0]
        transmission = igm.transmission(igm_model, wavelength, redshift, begin)
        mean = photometry.mean_fluxes(wavelength, l_nu, bins.responses, redshift, transmission, _STEPS)
        flux = mean * bins.per_f_nu * (1.0 + redshift[:, None])
        shining = np.flatnonzero(~columns["quiescent"][block])
        if line_width is not None and len(shining):
            rows = shining + block.start
            escape = light.lya_escape_of(columns, rows)
            luminosity = engine.lines(*light.fsps(columns, rows), lya_escape=escape) * formed[rows, None]
            luminosity *= transmission_of_lines(igm_model, engine.line_wavelength, redshift[shining])
            _add_lines(shining, redshift[shining], luminosity, engine.line_wavelength, line_width / _C_KM_S,
                       bins.low, bins.high, bins.first, bins.sigma, flux)  # fmt: skip
        yield block, flux * light.flux_of_lsun(cosmo, redshift)[:, None]


def transmission_of_lines(igm_model: str, wavelength: Array, redshift: Array) -> Array:
    """Return what the intergalactic medium leaves of emission lines, shape (n, n_line).

    Half of Lyman alpha is blueward of the step, and is absorbed as light at the step is; the red half stays.
    """
    order = np.argsort(wavelength)
    by_wavelength = wavelength[order]
    out = np.ones((len(redshift), len(wavelength)))
    transmission = igm.transmission(igm_model, by_wavelength, redshift)
    if transmission.shape[1]:
        is_lya = np.abs(wavelength / igm.LYMAN_ALPHA - 1.0) < 1e-4
        below = np.count_nonzero(by_wavelength < igm.LYMAN_ALPHA)
        out[:, order[:below]] = transmission[:, :below]
        out[:, is_lya] = 0.5 * (1.0 + transmission[:, -1:])
    return out


@njit(parallel=True)
def _add_lines(  # type: ignore[no-untyped-def]
    rows, redshift, luminosity, wavelength, velocity, low, high, first, sigma, flux
) -> None:
    """Add to fluxes (n, n_bin), in rows, Gaussian lines with ``luminosity`` (n_row, n_line).

    ``velocity`` is their standard deviation over the speed of light, ``sigma`` (n_bin, ) that of the instrument over
    the wavelength; ``first`` (n_part + 1, ) are the first bins of its parts.
    """
    centre, widest = 0.5 * (low + high), np.empty(len(first) - 1)
    for part in range(len(widest)):
        widest[part] = sigma[first[part] : first[part + 1]].max()
    for g in prange(len(rows)):
        for line in range(len(wavelength)):
            at = wavelength[line] * (1.0 + redshift[g])
            for part in range(len(widest)):
                begin, end = first[part], first[part + 1]
                far = REACH * at * max(np.sqrt(widest[part] ** 2 + velocity**2), 1e-9)
                if at + far < low[begin] or at - far > high[end - 1]:
                    continue
                sigma_lsf = np.interp(at, centre[begin:end], sigma[begin:end])
                width = at * max(np.sqrt(sigma_lsf**2 + velocity**2), 1e-9)
                scale = 1.0 / (np.sqrt(2.0) * width)
                k = begin + np.searchsorted(high[begin:end], at - REACH * width)
                below = erf((low[min(k, end - 1)] - at) * scale)
                while k < end and low[k] < at + REACH * width:
                    above = erf((high[k] - at) * scale)
                    flux[rows[g], k] += 0.5 * luminosity[g, line] * (above - below)
                    below = above
                    k += 1


def densities(flux: Array, instrument: Instrument, unit: str) -> Array:
    """Return fluxes in bins [erg/s/cm^2] over their widths: f_lambda [erg/s/cm^2/A] or f_nu [uJy], in `UNITS`."""
    low, high = instrument.low, instrument.high
    width = high - low if unit == "f_lambda" else LIGHT * (1.0 / low - 1.0 / high) * _MICROJANSKY
    return flux / width


def about(observed: Mapping[str, Any], instrument: Instrument, engine: Engine | ReferenceEngine,
          redshift: ArrayLike) -> dict[str, Any]:  # fmt: skip
    """Return the metadata of observed spectra, and warn where the SSPs do not resolve the bins of the instrument.

    Returns
    -------
    dict
        ``observed`` (the config's key), ``wavelength``, ``bin_width`` and ``fwhm`` (lists, of each bin [A]), and
        ``share_unresolved`` (the fraction of bins that are finer than the SSPs resolve, at the worst redshift).

    """
    share = instrument.share_unresolved(engine.wavelength, np.unique(np.asarray(redshift, np.float64)))
    if share > 0.0:
        log.warning(
            "%s: %.0f %% of its bins are finer than the SSPs resolve; its spectra are too smooth there.",
            instrument.name, 100.0 * share,
        )  # fmt: skip
    return {
        "observed": dict(observed),
        "wavelength": instrument.wavelength.tolist(),
        "bin_width": (instrument.high - instrument.low).tolist(),
        "fwhm": instrument.fwhm.tolist(),
        "share_unresolved": round(share, 4),
    }


def of_columns(
    columns: Mapping[str, NDArray], setup: spectra.Setup, observed: Mapping[str, Any], instrument: Instrument,
    progress: Progress | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:  # fmt: skip
    """Yield observed spectra of a catalogue in blocks of rows, in the unit that ``observed`` asks for."""
    blocks = fluxes(
        columns, instrument, engine=setup.engine, cosmo=Cosmology(**setup.about["cosmology"]), igm_model=setup.igm,
        line_width=observed["line_width"], progress=progress,
    )  # fmt: skip
    for block, flux in blocks:
        yield block, densities(flux, instrument, observed["unit"]).astype(np.float32)


def write(
    path: Path | str,
    columns: Mapping[str, NDArray],
    setup: spectra.Setup,
    observed: Mapping[str, Any],
    instrument: Instrument,
    metadata: Mapping[str, object],
    progress: Progress | None = None,
) -> None:
    """Write observed spectra of a catalogue to a Parquet file, whole or not at all, holding one block at a time.

    Parameters
    ----------
    path : path
        The file: ``galaxy_id``, ``realisation`` where there is one, and ``f_lambda`` or ``f_nu``, a list of float32 of
        fixed size; its metadata hold ``wavelength``, a JSON list [A, vacuum].
    columns : mapping of str to ndarray of shape (n, )
        `NEEDED`, and ``realisation`` where there is one.
    setup : Setup
        How spectra of the catalogue are made.
    observed : mapping
        The config's ``spectra.observed``.
    instrument : Instrument
        The instrument of that config.
    metadata : mapping
        Of the file: `about` and where the numbers come from.
    progress : Progress, optional
        Counts the galaxies that are done.

    """
    blocks = of_columns(columns, setup, observed, instrument, progress)
    spectra.write_blocks(path, columns, observed["unit"], len(instrument.wavelength), blocks, metadata)


def of_run(
    run: str,
    galaxy_id: ArrayLike,
    observed: Mapping[str, Any],
    results: Path | str = "results",
    ssp_table: Path | str | None = None,
    realisation: int | None = None,
) -> tuple[Array, NDArray[np.float32]]:
    """Return observed spectra of some galaxies of a finished run, computed from its catalogue.

    Parameters
    ----------
    run, galaxy_id, results, ssp_table, realisation
        As for `mocksed.spectra.of_run`.
    observed : mapping
        As the config's ``spectra.observed``; keys that it leaves out have their defaults.

    Returns
    -------
    wavelength : ndarray of shape (n_bin, )
        Centres of the bins [A, vacuum].
    flux : ndarray of shape (n, n_bin)
        f_lambda [erg/s/cm^2/A] or f_nu [uJy].

    Raises
    ------
    UserError
        As `mocksed.spectra.of_run`, and if the grid is invalid or reaches beyond the spectra.

    """
    columns, setup = spectra.selected(run, galaxy_id, results, ssp_table, realisation, NEEDED)
    observed = complete(observed)
    instrument = instruments.from_config(observed)
    values = [block for _, block in of_columns(columns, setup, observed, instrument)]
    about(observed, instrument, setup.engine, columns["redshift"])
    empty = np.empty((0, len(instrument.wavelength)), np.float32)
    return instrument.wavelength, np.concatenate([empty, *values])


def write_of_run(
    path: Path | str,
    run: str,
    galaxy_id: ArrayLike,
    observed: Mapping[str, Any],
    results: Path | str = "results",
    ssp_table: Path | str | None = None,
    progress: Progress | None = None,
    realisation: int | None = None,
) -> None:
    """Write observed spectra of some galaxies of a finished run, as FITS if the path ends in .fits, else as Parquet.

    Arguments as in `of_run`.
    """
    columns, setup = spectra.selected(run, galaxy_id, results, ssp_table, realisation, NEEDED)
    observed = complete(observed)
    instrument = instruments.from_config(observed)
    metadata = setup.about | about(observed, instrument, setup.engine, columns["redshift"])
    if Path(path).suffix.lower() in (".fits", ".fit"):
        write_fits(path, columns, setup, observed, instrument, metadata, progress)
    else:
        write(path, columns, setup, observed, instrument, metadata, progress)


def write_fits(
    path: Path | str,
    columns: Mapping[str, NDArray],
    setup: spectra.Setup,
    observed: Mapping[str, Any],
    instrument: Instrument,
    metadata: Mapping[str, object],
    progress: Progress | None = None,
) -> None:
    """Write observed spectra as FITS: a binary table with ``wavelength`` and ``flux`` for each galaxy.

    Arguments as in `write`. specutils reads them as "tabular-fits", the galaxy of a row i with ``hdu=i + 1``.
    """
    from astropy import units  # takes 0.2 s to import, and few spectra become FITS
    from astropy.io import fits

    flux_unit = units.Unit(COLUMNS[observed["unit"]].unit).to_string("fits")
    primary = fits.PrimaryHDU()
    primary.header["RUN"] = str(metadata["run"])
    primary.header["UNRESOLV"] = metadata["share_unresolved"], "share of bins finer than the SSPs resolve"
    primary.header["PROVENAN"] = jsontext.dumps(provenance.stamped(metadata), sort_keys=True), "where it comes from"
    hdus: list[Any] = [primary]
    for rows, values in of_columns(columns, setup, observed, instrument, progress):
        for row, flux in zip(range(rows.start, rows.stop), values, strict=True):
            table = fits.BinTableHDU.from_columns(
                [
                    fits.Column("wavelength", "D", unit="Angstrom", array=instrument.wavelength),
                    fits.Column("flux", "E", unit=flux_unit, array=flux),
                ]
            )
            for key, identifiers in realisations.keys(columns).items():
                table.header[{"galaxy_id": "GALAXYID"}.get(key, key.upper()[:8])] = int(identifiers[row])
            table.header["REDSHIFT"] = float(columns["redshift"][row])
            table.header["EXTNAME"] = str(columns["galaxy_id"][row])
            hdus.append(table)
    with replacing(path) as temporary:
        fits.HDUList(hdus).writeto(temporary, overwrite=True)
