"""Filter curves: those of astro-sedpy and speclite by name, and the user's own files.

The files of both packages are read where they are installed, without importing the packages: astro-sedpy alone would
delay every job and every check of a config by 0.3 s.
"""

import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mocksed.errors import UserError, no_file, suggestion

if TYPE_CHECKING:
    from astropy.io.votable.tree import VOTableFile

Array = NDArray[np.float64]

TABLES: Mapping[str, str] = {
    ".ecsv": "ascii.ecsv",
    ".fits": "fits",
    ".fit": "fits",
    ".fits.gz": "fits",
    ".vot": "votable",
    ".xml": "votable",
}
"""Endings, in small or capital letters, of filter files that astropy reads, and its name of the format; all others are
text."""

UNITS: Mapping[str, float] = {"angstrom": 1.0, "nm": 10.0, "um": 1e4}
"""Units of wavelength that can be named for files that do not give one [A]."""

_LOWEST = 1e-5  # of the maximum; ends that transmit less are cut off, as in astro-sedpy
_SHORTEST = 1000.0  # galaxies are nearly dark in a filter that ends blueward of this [A]
_SHORTEST_GUESSED = 3000.0  # without a stated unit nm is likelier: near-infrared filters end at 2500
_EXPECTED = "expected two columns, wavelength and transmission per photon"


@dataclass(frozen=True, eq=False)
class Filter:
    """A transmission curve for photons, linear between its points and zero beyond them.

    Points of no transmission are cut off at both ends, except for one.

    Attributes
    ----------
    name : str
        Name of the filter.
    wavelength : ndarray of shape (n, )
        [A], increasing.
    transmission : ndarray of shape (n, )
        Photons detected per photon, any normalisation.

    Raises
    ------
    UserError
        If this is not a transmission curve: fewer than two points, infinite or NaN values, wavelengths that are not
        positive or do not increase, transmission that is negative or zero everywhere.

    """

    name: str
    wavelength: Array
    transmission: Array

    def __post_init__(self) -> None:
        if problem := _problem(self.wavelength, self.transmission):
            raise UserError(f"filter '{self.name}': {problem}.")
        transmitting = _transmitting(self.transmission)
        for name in ("wavelength", "transmission"):
            object.__setattr__(self, name, getattr(self, name)[transmitting])

    @property
    def pivot(self) -> float:
        """Pivot wavelength [A]: f_lambda = c f_nu / pivot^2 of the mean fluxes in the filter."""
        x, t = self.wavelength, self.transmission
        return float(np.sqrt(np.trapezoid(t * x, x) / np.trapezoid(t / x, x)))

    def at_redshift(self, redshift: float) -> "Filter":
        """Return the filter in the rest frame of a source at the redshift."""
        return replace(self, name=f"{self.name}_z{redshift:g}", wavelength=self.wavelength / (1.0 + redshift))


def _problem(wavelength: Array, transmission: Array) -> str | None:
    """Return why two arrays are not a transmission curve, None if they are."""
    if wavelength.shape != transmission.shape or wavelength.ndim != 1 or len(wavelength) < 2:
        return f"{wavelength.shape} wavelengths and {transmission.shape} transmissions, expected two or more of each"
    bad = ~(np.isfinite(wavelength) & np.isfinite(transmission))
    if bad.any():
        return f"point {np.argmax(bad) + 1} of {len(bad)} is NaN or infinite"
    if wavelength[0] <= 0.0:
        return f"the first wavelength is {wavelength[0]:g} A, expected positive ones"
    falls = np.diff(wavelength) <= 0.0
    if falls.any():
        i = np.argmax(falls)
        return f"wavelengths must increase, but {wavelength[i + 1]:g} A follows {wavelength[i]:g} A"
    if transmission.min() < 0.0:
        i = np.argmin(transmission)
        return f"the transmission is negative at {wavelength[i]:g} A, {transmission[i]:g}; set such noise to 0"
    return None if transmission.max() > 0.0 else "the transmission is zero everywhere"


def _transmitting(transmission: Array, lowest: float = 0.0) -> slice:
    """Return the points from the first to the last transmission above ``lowest`` times the maximum, and one around."""
    inside = np.flatnonzero(transmission > lowest * transmission.max())
    return slice(max(inside[0] - 1, 0), inside[-1] + 2)


def top_hat(name: str, low: float, high: float) -> Filter:
    """Return a filter between two wavelengths [A] whose flux is the mean f_nu over wavelength."""
    wavelength = np.array([low, high])
    return Filter(name, wavelength, wavelength)


@cache
def available() -> Mapping[str, Path]:
    """Return the file of every filter that is known by name, those of astro-sedpy and speclite."""
    return {
        path.name.removesuffix(ending): path
        for package, ending in (("sedpy", ".par"), ("speclite", ".ecsv"))
        for path in sorted(_data_folder(package).glob(f"*{ending}"))
    }


def _same_band(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean X or Y?" with the same band of the same survey, e.g. lsst2016-r for lsst_r, or ""."""

    def survey_and_band(name: str) -> tuple[str, str]:
        words = re.split("[-_ ]", name.lower())
        return words[0].rstrip("0123456789"), words[-1]

    wanted = survey_and_band(name)
    matching = [other for other in known if survey_and_band(other) == wanted]
    close = get_close_matches(name, matching, n=3, cutoff=0.0)
    return f", did you mean {' or '.join(close)}?" if close else ""


def _data_folder(package: str) -> Path:
    """Return the folder of a package's filters, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the package '{package}', which contains filter curves, is missing. Install mocksed again.")
    return Path(spec.submodule_search_locations[0], "data", "filters")


@cache
def load(name: str) -> Filter:
    """Return a filter of astro-sedpy or speclite by its name.

    Raises
    ------
    UserError
        If the filter does not exist.

    """
    known = available()
    if name not in known:
        near = _same_band(name, known) or suggestion(name, known)
        raise UserError(
            f"filter '{name}' is not known{near}; expected one of the {len(known)} filters of "
            "astro-sedpy and speclite (`mocksed filters` lists them)."
        )
    path = known[name]
    # astro-sedpy's files can have further columns, and noise below zero, which it leaves out as well
    if path.suffix == ".ecsv":
        wavelength, transmission, scale = _read_table(name, path)
        wavelength = wavelength * (scale or 1.0)
    else:
        wavelength, transmission = np.loadtxt(path, usecols=(0, 1), unpack=True)
    wavelength, transmission = wavelength[transmission >= 0.0], transmission[transmission >= 0.0]
    transmitting = _transmitting(transmission, _LOWEST)
    return Filter(name, wavelength[transmitting], transmission[transmitting])


def read(name: str, path: Path | str, unit: str | None = None) -> Filter:
    """Return the user's own filter; ends that transmit less than 1e-5 of the maximum are cut off.

    Parameters
    ----------
    name : str
        Name of the filter.
    path : path
        Text with two columns, wavelength and transmission per photon, and comments after '#'; or, by its ending
        (`TABLES`), an ECSV, FITS or VOTable file with such columns, whose unit of wavelength is used. A VOTable whose
        parameter DetectorType is 0, as in the Filter Profile Service of the SVO, holds the response per energy,
        which is converted.
    unit : str, optional
        Unit of wavelength (`UNITS`) of a file that does not give it. By default angstroms, as long as the filter then
        reaches into the optical.

    Raises
    ------
    UserError
        If the file is missing, does not have two columns, or does not hold a transmission curve; if the wavelengths
        seem to be in another unit, or the file gives another one than the argument.

    """
    path = Path(path)
    if why_not := no_file(path):
        raise UserError(f"filter '{name}': {path} {why_not}; {_EXPECTED}.")
    wavelength, transmission, file_scale = _read_text(name, path) if _format(path) is None else _read_table(name, path)
    if file_scale and unit and not math.isclose(file_scale, UNITS[unit]):
        raise UserError(
            f"filter '{name}': {path} gives the unit of its wavelengths itself, and it is not {unit}; leave the "
            "filter out of photometry.filter_units."
        )
    wavelength = wavelength * (file_scale or UNITS[unit or "angstrom"])
    if wrong := _problem(wavelength, transmission):
        raise UserError(f"filter '{name}': {path}: {wrong}.")
    transmitting = _transmitting(transmission, _LOWEST)
    low, high = wavelength[transmitting][[0, -1]]
    given = file_scale or unit
    if high < (_SHORTEST if given else _SHORTEST_GUESSED):
        likely = "um" if high < 100.0 else "nm"
        remedy = f"name the unit, photometry.filter_units: {{{name}: {likely}}}, or angstrom if it is that"
        problem = " A, where galaxies are dark; correct its unit" if given else f", which looks like {likely}; {remedy}"
        raise UserError(f"filter '{name}': {path} reaches from {low:g} to {high:g}{problem}.")
    return Filter(name, wavelength[transmitting], transmission[transmitting])


def _format(path: Path) -> str | None:
    """Return astropy's name of the format of a file, None for text."""
    return next((format_ for ending, format_ in TABLES.items() if path.name.lower().endswith(ending)), None)


Read = tuple[Array, Array, float | None]
"""Wavelength, transmission per photon, and the unit of wavelength [A] if the file gives it."""


def _read_text(name: str, path: Path) -> Read:
    try:
        with warnings.catch_warnings(action="ignore"):  # about an empty file, which is an error below
            rows = np.loadtxt(path, ndmin=2, encoding="latin-1")  # latin-1 decodes any comment, whatever the locale
    except (OSError, ValueError) as error:  # also if it is not text
        reason = str(error).removesuffix(".")
        raise UserError(f"filter '{name}': cannot read {path}: {reason}; {_EXPECTED}, comments after '#'.") from error
    if rows.shape[1] != 2 or not len(rows):
        raise UserError(f"filter '{name}': {path} has {rows.shape[1]} columns of {len(rows)} numbers; {_EXPECTED}.")
    return rows[:, 0], rows[:, 1], None


def _read_table(name: str, path: Path) -> Read:
    from astropy import units  # takes 0.2 s to import, and such files are rare
    from astropy.io import votable
    from astropy.table import Table

    format_ = _format(path)
    try:
        with warnings.catch_warnings(action="ignore"):
            source = votable.parse(path) if format_ == "votable" else path
            table = Table.read(source, format=format_)
    except Exception as error:  # astropy's readers raise many kinds
        raise UserError(f"filter '{name}': cannot read {path}: {error}; {_EXPECTED}.") from error
    if len(table.columns) != 2:
        raise UserError(f"filter '{name}': {path} has the columns {', '.join(table.colnames)}; {_EXPECTED}.")
    wavelength, transmission = table.columns.values()
    try:
        scale = wavelength.unit and float(wavelength.unit.to(units.AA))
        x, t = (np.ma.filled(np.ma.asarray(c, np.float64), np.nan) for c in (wavelength, transmission))
    except (units.UnitConversionError, TypeError, ValueError) as error:
        raise UserError(f"filter '{name}': {path}: {error}; {_EXPECTED}.") from error
    return x, _per_photon(name, path, x, t, source) if format_ == "votable" else t, scale


def _per_photon(name: str, path: Path, wavelength: Array, response: Array, about: "VOTableFile") -> Array:
    """Return the response of a detector per photon, from one per photon or per energy (PhotDM's DetectorType)."""
    params = (param for param in about.iter_fields_and_params() if param.name == "DetectorType")
    kinds = [str(param.value).strip() for param in params if hasattr(param, "value")]
    if kinds and kinds[0] not in ("0", "1"):
        raise UserError(
            f"filter '{name}': {path} has the DetectorType {kinds[0]}; expected 0, which counts energy, or 1, which "
            "counts photons."
        )
    if not kinds or kinds[0] == "1":
        return response
    with np.errstate(divide="ignore", invalid="ignore"):  # the check of the curve reports it
        return response / wavelength


def select(
    names: Iterable[str],
    files: Mapping[str, Path | str] | None = None,
    filter_units: Mapping[str, str] | None = None,
) -> tuple[Filter, ...]:
    """Return filters by their names: the user's own ones from their files as `read` does, all others as `load` does."""
    files, named = files or {}, filter_units or {}
    return tuple(read(name, files[name], named.get(name)) if name in files else load(name) for name in names)


def unreachable(band: Filter, wavelength: Array, redshift: Sequence[float], kind: str = "filter") -> str | None:
    """Return what is wrong with a filter that reaches beyond the spectra of some galaxies, None if it does not.

    Parameters
    ----------
    band : Filter
        The filter, in the observed frame.
    wavelength : ndarray of shape (n_wave, )
        Nodes of the spectra, rest frame [A]; only the first and the last one matter.
    redshift : sequence of float
        Lowest and highest redshift of the galaxies; 0, 0 for magnitudes in the rest frame.
    kind : str
        What messages call it, "filter" or "grid".

    """
    lowest, highest = band.wavelength[-1] / wavelength[-1] - 1.0, band.wavelength[0] / wavelength[0] - 1.0
    if lowest <= redshift[0] and redshift[1] <= highest:
        return None
    problem = (
        f"{kind} '{band.name}' ({band.wavelength[0]:.0f} to {band.wavelength[-1]:.0f} A) reaches beyond the spectra, "
        f"{wavelength[0]:g} to {wavelength[-1]:g} A in the rest frame"
    )
    if redshift[1] == 0.0:
        return problem
    at_redshift = redshift[1] if redshift[1] > highest else redshift[0]
    lowest, highest = max(math.ceil(1e2 * lowest) / 1e2, 0.0), math.floor(1e2 * highest) / 1e2
    usable = f"from redshift {lowest:g} to {highest:g}" if lowest <= highest else "at no redshift"
    return f"{problem}, at redshift {at_redshift:g}; it can be used {usable}"
