"""The stage ``survey``: what a survey sees of a shard of the catalogue, from that shard alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed import realisations
from mocksed.errors import UserError
from mocksed.files import provenance, storage
from mocksed.files.columns import FLUX_UNITS, magnitude_column, survey_column
from mocksed.survey import noise
from mocksed.survey.bands import Band

Array = NDArray[np.float64]


def observe(
    columns: Mapping[str, NDArray], bands: Sequence[Band], *, seed: int, survey: Mapping[str, Any]
) -> dict[str, NDArray]:
    """Return what a survey sees of galaxies.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, the apparent magnitudes, ``realisation`` where there is one, and ``re_maj`` and
        ``axis_ratio`` for apertures. A magnitude of NaN is a flux of 0, but of NaN at redshift 0.
    bands : sequence of Band
        The filters.
    seed : int
        The seed of the run.
    survey : mapping
        The config's ``survey``.

    Returns
    -------
    dict of ndarrays of shape (n, )
        Of each filter ``flux_``, ``flux_err_``, ``snr_`` and ``detected_``, and for apertures ``limit_``, in the unit
        of the config; NaN where the flux or the size is not known.

    """
    result: dict[str, NDArray] = {}
    for band in bands:
        at_depth = flux_of(band.depth, survey["unit"])
        area = _area(columns, band, survey)
        noise_options = {"area": area, "sigma_sys": survey["sigma_sys"]}
        magnitude = columns[magnitude_column(band.name)].astype(np.float64)
        flux = np.where(np.isnan(magnitude), 0.0, flux_of(magnitude, survey["unit"]))
        flux[columns["redshift"] == 0.0] = np.nan
        deviate = noise.deviates(seed, columns["galaxy_id"], band.name, columns.get(realisations.COLUMN, 0))
        measured = noise.measure(flux, deviate, at_depth, band, **noise_options, decorrelate=survey["decorrelate"])
        snr = measured.flux / measured.error
        result |= {f"flux_{band.name}": measured.flux, f"flux_err_{band.name}": measured.error, f"snr_{band.name}": snr}
        result[f"detected_{band.name}"] = snr >= survey["threshold"]
        if survey["aperture"] != "point":
            result[f"limit_{band.name}"] = noise.limit(at_depth, band, **noise_options)
    return {name: values if values.dtype == bool else values.astype(np.float32) for name, values in result.items()}


def flux_of(magnitude: NDArray | float, unit: str) -> Any:
    """Return the flux of AB magnitudes in a unit of `mocksed.files.columns.FLUX_UNITS`."""
    return FLUX_UNITS[unit].flux_at_magnitude_0 * 10.0 ** (-0.4 * magnitude)


def _area(columns: Mapping[str, NDArray], band: Band, survey: Mapping[str, Any]) -> Array | float:
    if survey["aperture"] == "point":
        return 1.0
    major = columns["re_maj"].astype(np.float64)
    axes = major, major * columns["axis_ratio"]
    fwhm = float(band.fwhm or np.nan)  # without one, mocksed.survey.bands.problems stops the run
    if survey["aperture"] == "auto":
        return noise.area_of_auto(*axes, fwhm)
    return noise.area_of_gaap(*axes, fwhm, tuple(survey["gaap_diameter"]))


def limits(bands: Sequence[Band], survey: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the 5 sigma limits of point sources in each filter, ``mag`` [AB] and ``flux`` in the config's unit."""
    limits_of_filters = {}
    for band in bands:
        flux = float(noise.limit(flux_of(band.depth, "maggies"), band, sigma_sys=survey["sigma_sys"]))
        magnitude = -2.5 * np.log10(flux)
        limits_of_filters[band.name] = {"mag": float(magnitude), "flux": float(flux_of(magnitude, survey["unit"]))}
    return limits_of_filters


def make(
    catalogue: Path | str, output: Path | str, *, bands: Sequence[Mapping[str, Any]], survey: Mapping[str, Any],
    sources: Mapping[str, Any], about: Mapping[str, Any], sps: Mapping[str, Any], shard: Sequence[int],
) -> None:  # fmt: skip
    """Write what a survey sees of a shard of the catalogue.

    Parameters
    ----------
    catalogue : path
        The shard.
    output : path
        The file to write, with the same rows in the same order.
    bands : sequence of mapping
        Arguments of each `Band`.
    survey : mapping
        The config's ``survey``.
    sources : mapping
        Sources of the presets (`mocksed.survey.bands.sources`).
    about, sps, shard
        As for `mocksed.files.provenance.expected_of_catalogue`.

    Raises
    ------
    UserError
        If the shard cannot be read, is of another run, lacks a column, or has a galaxy twice.

    """
    provenance.check(catalogue, provenance.expected_of_catalogue(about, sps, shard))
    survey_bands = [Band(**band) for band in bands]
    sizes = [] if survey["aperture"] == "point" else ["re_maj", "axis_ratio"]
    needed = ["galaxy_id", "redshift", *(magnitude_column(band.name) for band in survey_bands), *sizes]
    columns = storage.read_arrays(catalogue, needed, optional=[realisations.COLUMN])
    keys = realisations.keys(columns)
    _check_unique(catalogue, keys)
    observed = keys | observe(columns, survey_bands, seed=about["seed"], survey=survey)
    metadata = provenance.of_file(catalogue) | provenance.of_shard(*shard)
    metadata |= {"survey": dict(survey), "bands": list(bands), "sources": dict(sources)}
    metadata |= {"limits": limits(survey_bands, survey)}
    unit = FLUX_UNITS[survey["unit"]].unit
    table = storage.to_table(observed, metadata, describe=lambda name: survey_column(name, unit))
    storage.write_table(output, table)


def _check_unique(catalogue: Path | str, keys: Mapping[str, NDArray]) -> None:
    """Stop if a galaxy is there twice: both would have the same noise."""
    order = np.lexsort(list(keys.values()))
    twice = np.all([values[order][1:] == values[order][:-1] for values in keys.values()], axis=0)
    if np.any(twice):
        galaxy = keys["galaxy_id"][order][1:][twice][0]
        raise UserError(f"{catalogue} has the galaxy {galaxy} twice. Remove it and run again: it will be made again.")
