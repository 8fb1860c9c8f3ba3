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
        ``axis_ratio`` for apertures. A magnitude of NaN is a flux of 0, but at redshift 0, where there is none.
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
    made: dict[str, NDArray] = {}
    for band in bands:
        at_depth = flux_of(band.depth, survey["unit"])
        area = _area(columns, band, survey)
        same = {"area": area, "sigma_sys": survey["sigma_sys"]}
        magnitude = columns[magnitude_column(band.name)].astype(np.float64)
        flux = np.where(np.isnan(magnitude), 0.0, flux_of(magnitude, survey["unit"]))
        flux[columns["redshift"] == 0.0] = np.nan
        deviate = noise.deviates(seed, columns["galaxy_id"], band.name, columns.get(realisations.COLUMN, 0))
        seen = noise.measure(flux, deviate, at_depth, band, **same, decorrelate=survey["decorrelate"])
        snr = seen.flux / seen.error
        made |= {f"flux_{band.name}": seen.flux, f"flux_err_{band.name}": seen.error, f"snr_{band.name}": snr}
        made[f"detected_{band.name}"] = snr >= survey["threshold"]
        if survey["aperture"] != "point":
            made[f"limit_{band.name}"] = noise.limit(at_depth, band, **same)
    return {name: values if values.dtype == bool else values.astype(np.float32) for name, values in made.items()}


def flux_of(magnitude: NDArray | float, unit: str) -> Any:
    """Return the flux of AB magnitudes in a unit of `mocksed.files.columns.FLUX_UNITS`."""
    return FLUX_UNITS[unit].of_magnitude_0 * 10.0 ** (-0.4 * magnitude)


def _area(columns: Mapping[str, NDArray], band: Band, survey: Mapping[str, Any]) -> Array | float:
    if survey["aperture"] == "point":
        return 1.0
    major = columns["re_maj"].astype(np.float64)
    axes = major, major * columns["axis_ratio"]
    fwhm = float(band.fwhm or np.nan)  # mocksed.survey.bands.problems sees to it
    if survey["aperture"] == "auto":
        return noise.area_of_auto(*axes, fwhm)
    return noise.area_of_gaap(*axes, fwhm, tuple(survey["gaap_diameter"]))


def limits(bands: Sequence[Band], survey: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the 5 sigma limits of point sources in each filter, ``mag`` [AB] and ``flux`` in the config's unit."""
    found = {}
    for band in bands:
        flux = float(noise.limit(flux_of(band.depth, "maggies"), band, sigma_sys=survey["sigma_sys"]))
        magnitude = -2.5 * np.log10(flux)
        found[band.name] = {"mag": float(magnitude), "flux": float(flux_of(magnitude, survey["unit"]))}
    return found


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
        Of the presets (`mocksed.survey.bands.sources`).
    about, sps, shard
        As for `mocksed.files.provenance.expected_of_catalogue`.

    Raises
    ------
    UserError
        If the shard cannot be read, is of another run, lacks a column, or has a galaxy twice.

    """
    provenance.check(catalogue, provenance.expected_of_catalogue(about, sps, shard))
    own = [Band(**band) for band in bands]
    sizes = [] if survey["aperture"] == "point" else ["re_maj", "axis_ratio"]
    needed = ["galaxy_id", "redshift", *(magnitude_column(band.name) for band in own), *sizes]
    columns = storage.read_arrays(catalogue, needed, optional=[realisations.COLUMN])
    keys = realisations.keys(columns)
    _check_unique(catalogue, keys)
    made = keys | observe(columns, own, seed=about["seed"], survey=survey)
    said = provenance.of_file(catalogue) | provenance.of_shard(*shard)
    said |= {"survey": dict(survey), "bands": list(bands), "sources": dict(sources), "limits": limits(own, survey)}
    unit = FLUX_UNITS[survey["unit"]].unit
    table = storage.to_table(made, said, describe=lambda name: survey_column(name, unit))
    storage.write_table(output, table)


def _check_unique(catalogue: Path | str, keys: Mapping[str, NDArray]) -> None:
    """Stop if a galaxy is there twice: both would have the same noise."""
    order = np.lexsort(list(keys.values()))
    twice = np.all([values[order][1:] == values[order][:-1] for values in keys.values()], axis=0)
    if np.any(twice):
        galaxy = keys["galaxy_id"][order][1:][twice][0]
        raise UserError(f"{catalogue} has the galaxy {galaxy} twice. Remove it and run again: it will be made again.")
