"""Spectrographs: their bins and their resolution, by name or as a user gives them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from mocksed.errors import UserError, suggestion
from mocksed.sps.filters import Filter

Array = NDArray[np.float64]

FWHM = float(2.0 * np.sqrt(2.0 * np.log(2.0)))
"""Full width at half maximum of a Gaussian, in standard deviations."""

REACH = 6.0
"""Standard deviations of the line spread function beyond which its wings are neglected."""

MAX_BINS = 10_000
"""Bins of a grid, at most: a spectrum that is stored has a few thousand wavelengths at best."""

_POINTS = 1025  # of the response of a bin
_FINE = 20_001  # wavelengths over which widths of bins that change are integrated


@dataclass(frozen=True)
class Part:
    """Bins side by side, seen with one line spread function.

    Attributes
    ----------
    edges : ndarray of shape (n_bin + 1, )
        [A], increasing.
    resolution : ndarray of shape (n_bin, )
        lambda / FWHM of the Gaussian line spread function at the centres of the bins; infinite without one.

    """

    edges: Array
    resolution: Array

    @property
    def centres(self) -> Array:
        """Centres of the bins [A], shape (n_bin, )."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def sigma(self, wavelength: ArrayLike) -> Array:
        """Return the standard deviation of the line spread function at wavelengths [A]."""
        wavelength = np.asarray(wavelength, np.float64)
        return np.asarray(wavelength / FWHM * np.interp(wavelength, self.centres, 1.0 / self.resolution))

    def responses(self, name: str) -> list[Filter]:
        """Return the response of each bin as a filter of photons, since these weight f_nu with T / lambda.

        Light is spread by the line spread function at its wavelength, so that all bins together contain all of it.
        """
        bins = []
        for low, high in zip(self.edges, self.edges[1:], strict=False):
            at = np.linspace(low - REACH * self.sigma(low), high + REACH * self.sigma(high), _POINTS)
            sigma = np.maximum(self.sigma(at), 1e-9 * at)
            inside = ndtr((high - at) / sigma) - ndtr((low - at) / sigma)
            if not np.any(self.sigma(at)):
                inside = np.ones(_POINTS)
            bins.append(Filter(name, at, inside / at))
        return bins


@dataclass(frozen=True, eq=False)
class Instrument:
    """A spectrograph.

    Attributes
    ----------
    name : str
        Name of the preset, or the name in messages.
    parts : tuple of Part
        By increasing wavelength; their bins are those of the instrument, in this order.

    """

    name: str
    parts: tuple[Part, ...]

    @property
    def low(self) -> Array:
        """Lower edges of the bins [A], shape (n_bin, )."""
        return np.concatenate([part.edges[:-1] for part in self.parts])

    @property
    def high(self) -> Array:
        """Upper edges of the bins [A], shape (n_bin, )."""
        return np.concatenate([part.edges[1:] for part in self.parts])

    @property
    def wavelength(self) -> Array:
        """Centres of the bins [A], shape (n_bin, )."""
        return np.concatenate([part.centres for part in self.parts])

    @property
    def fwhm(self) -> Array:
        """FWHM of the line spread function at the centres of the bins [A], shape (n_bin, ); 0 without one."""
        return np.concatenate([part.centres / part.resolution for part in self.parts])

    @property
    def whole(self) -> Filter:
        """A filter from the first to the last wavelength whose light reaches the instrument's bins."""
        first, last = self.parts[0], self.parts[-1]
        low, high = first.edges[0], last.edges[-1]
        ends = np.array([low - REACH * first.sigma(low), high + REACH * last.sigma(high)])
        return Filter(self.name, ends, np.ones(2))

    def share_unresolved(self, wavelength: Array, redshift: Iterable[float]) -> float:
        """Return the fraction of bins that are finer than spectra resolve, at the redshift where it is largest.

        Spectra resolve two of their nodes: a bin counts if its FWHM, or twice its width where that is more, is less.

        Parameters
        ----------
        wavelength : ndarray of shape (n_wave, )
            Nodes of the spectra, rest frame [A].
        redshift : iterable of float
            Redshifts of galaxies.

        """
        element = np.maximum(self.fwhm, 2.0 * (self.high - self.low)) / self.wavelength
        step, middle = np.diff(np.log(wavelength)), np.sqrt(wavelength[1:] * wavelength[:-1])
        shares = [np.mean(element < 1.99 * np.interp(self.wavelength / (1.0 + z), middle, step)) for z in redshift]
        return float(max(shares, default=0.0))


@cache
def presets() -> Mapping[str, Any]:
    """Return the descriptions of instruments by name (instruments.yaml)."""
    known: Mapping[str, Any] = yaml.safe_load(files("mocksed.survey").joinpath("instruments.yaml").read_text("utf-8"))
    return known


def from_config(observed: Mapping[str, Any]) -> Instrument:
    """Return the instrument of a config's ``spectra.observed``.

    Raises
    ------
    UserError
        If there is no such preset, or the grid is invalid.

    """
    grids = [key for key in ("preset", "file", "range") if observed.get(key) is not None]
    if len(grids) != 1:
        raise UserError(
            f"spectra.observed: {' and '.join(grids) or 'nothing'} given for the grid; expected one of preset, file, "
            "or range with step or sampling."
        )
    width = {key: observed[key] for key in ("resolution", "fwhm") if observed.get(key) is not None}
    steps = {key: observed[key] for key in ("step", "sampling") if observed.get(key) is not None}
    if len(width) > 1:
        raise UserError("spectra.observed: resolution and fwhm given; expected one of them.")
    if grids != ["range"] and steps:
        raise UserError(f"spectra.observed: {' and '.join(steps)} not used with {grids[0]}; leave it out.")
    match grids[0]:
        case "preset":
            if width:
                raise UserError(f"spectra.observed: {next(iter(width))} not used with preset; leave it out.")
            return by_name(observed["preset"])
        case "file":
            return Instrument(Path(observed["file"]).stem, (_read(observed["file"], width),))
        case _:
            if len(steps) != 1:
                given = " and ".join(steps) or "neither step nor sampling"
                raise UserError(f"spectra.observed: {given} given with range; expected one of step, sampling.")
            low, high = observed["range"]
            if not 0.0 < low < high:
                raise UserError(
                    f"spectra.observed.range: {list(observed['range'])} is not allowed; expected the lower limit "
                    "first, above 0, and the two to differ."
                )
            return Instrument("grid", (_part({"range": (low, high)} | steps | width),))


def by_name(name: str) -> Instrument:
    """Return an instrument of `presets`.

    Raises
    ------
    UserError
        If no instrument has that name.

    """
    known = presets()
    if name not in known:
        raise UserError(
            f"spectra.observed.preset: {name!r} is not known{suggestion(name, known)}; expected one of "
            f"{', '.join(known)}."
        )
    return Instrument(name, tuple(_part(part) for part in known[name]["parts"]))


def _part(spec: Mapping[str, Any]) -> Part:
    """Return a part as instruments.yaml describes it; ``sampling`` is lambda over the width of a bin."""
    from scipy.integrate import cumulative_trapezoid  # takes a sixth of a job's imports, and few runs have a grid

    low, high = map(float, spec["range"])
    at = np.linspace(low, high, _FINE) if "step" in spec else np.geomspace(low, high, _FINE)
    if "bins" in spec:
        number = np.linspace(0.0, spec["bins"], _FINE)
    else:
        per_angstrom = spec["sampling"] / at if "sampling" in spec else 1.0 / _curve(spec["step"], at)
        number = cumulative_trapezoid(per_angstrom, at, initial=0.0)
    n_bins = max(round(number[-1]), 1)
    if n_bins > MAX_BINS:
        raise UserError(
            f"spectra.observed: the grid has {n_bins} bins; expected {MAX_BINS} at most, e.g. a larger step."
        )
    edges = np.interp(np.arange(n_bins + 1), number * n_bins / number[-1], at)
    centres = 0.5 * (edges[1:] + edges[:-1])
    if "fwhm_bins" in spec:
        return Part(edges, centres / (spec["fwhm_bins"] * np.diff(edges)))
    if "fwhm" in spec:
        return Part(edges, centres / _curve(spec["fwhm"], centres))
    return Part(edges, _curve(spec.get("resolution", np.inf), centres))


def _curve(value: float | Mapping[float, float], at: Array) -> Array:
    if isinstance(value, Mapping):
        return np.interp(at, list(value.keys()), list(value.values()))
    return np.full(len(at), float(value))


def _read(path: str, width: Mapping[str, float]) -> Part:
    """Return the bins around the wavelengths of a text file, whose second column, if any, is the FWHM [A]."""
    expected = "expected text with wavelengths [A] that increase, and optionally their FWHM [A] in a second column"
    if not os.path.isfile(path):
        raise UserError(f"spectra.observed.file: {path} is not a file, seen from {Path.cwd()}; {expected}.")
    try:
        rows = np.loadtxt(path, ndmin=2, encoding="latin-1")
    except (OSError, ValueError) as error:
        raise UserError(
            f"spectra.observed.file: cannot read {path}: {str(error).removesuffix('.')}; {expected}."
        ) from error
    if rows.shape[1] not in (1, 2) or len(rows) < 2:
        raise UserError(
            f"spectra.observed.file: {path} has {rows.shape[1]} columns of {len(rows)} numbers; {expected}."
        )
    centres = rows[:, 0]
    bad = ~np.all(np.isfinite(rows) & (rows > 0.0), axis=1) | (np.diff(centres, prepend=0.0) <= 0.0)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(f"spectra.observed.file: {path}, row {row + 1}: {rows[row].tolist()}; {expected}.")
    if rows.shape[1] == 2 and width:
        raise UserError(f"spectra.observed.{next(iter(width))}: {path} has a column with the FWHM; leave this out.")
    middle = 0.5 * (centres[1:] + centres[:-1])
    edges = np.concatenate([[2.0 * centres[0] - middle[0]], middle, [2.0 * centres[-1] - middle[-1]]])
    if rows.shape[1] == 2:
        return Part(edges, centres / rows[:, 1])
    if "fwhm" in width:
        return Part(edges, centres / width["fwhm"])
    return Part(edges, np.full(len(centres), float(width.get("resolution", np.inf))))
