"""python-fsps, guarded: the reference for every number of the engine, slow.

FSPS keeps its state in Fortran: one population per process, one call at a time, and options stay as the last call set
them. It never raises on bad numbers and a Fortran STOP ends Python with exit status 0, so its input and output
are checked, and work whose end matters runs in a child process.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.errors import UserError
from mocksed.sps import nebular as gas
from mocksed.sps import photometry
from mocksed.sps.curves import CURVES
from mocksed.sps.derived import Derived, bands, from_fluxes
from mocksed.sps.dust import curve
from mocksed.sps.lines import lyman_alpha
from mocksed.sps.model import DEFAULT_MODEL, LIMITS, SFH, Model
from mocksed.sps.parameters import checked
from mocksed.sps.table import LIGHT, ionising_photons

Array = NDArray[np.float64]

AT_CONSTRUCTION = {"zcontinuous": 1, "compute_vega_mags": False, "vactoair_flag": False, "cloudy_dust": False}
"""Options of FSPS that cannot be changed afterwards: metallicity interpolated, AB magnitudes, wavelengths in vacuum."""

ALWAYS = {"dust1": 0.0, "dust1_index": -1.0, "nebemlineinspec": True, "add_igm_absorption": False, "zred": 0.0}
"""Options that all of mocksed shares: dust of one component, lines drawn into the spectrum, no redshift."""

_SAME_NAME = ("add_dust_emission", *(name for name in LIMITS if name != "line_attenuation"))
_LOCK = Lock()
_DATA = ("ISOCHRONES", "SPECTRA", "data", "dust", "nebular")  # folders of SPS_HOME that FSPS reads


def population(imf_type: int = 1) -> Any:
    """Return the one `fsps.StellarPopulation` of this process.

    Raises
    ------
    UserError
        If SPS_HOME is not set, python-fsps is not installed, or another ``imf_type`` was used before.

    """
    return _population(imf_type)


@cache
def _population(imf_type: int) -> Any:
    if not os.environ.get("SPS_HOME"):
        raise UserError("FSPS is needed, but the variable SPS_HOME is not set. Point it at a clone of FSPS.")
    try:
        import fsps
    except ImportError as error:
        raise UserError(
            f"FSPS is needed, but python-fsps cannot be imported: {error}. pip install fsps==0.5.0"
        ) from None
    if _population.cache_info().currsize:
        raise UserError("python-fsps keeps one state per process: only one imf_type can be used in it.")
    return fsps.StellarPopulation(imf_type=imf_type, add_dust_emission=False, **AT_CONSTRUCTION)


def libraries(sps: Any) -> dict[str, str]:
    """Return FSPS's names of the isochrones, the spectra and the dust emission that it was compiled with."""
    names = (name.decode().strip() for name in sps.libraries)
    return dict(zip(("isochrones", "spectra", "dust_emission"), names, strict=True))


@cache
def home_sha256() -> str:
    """Return a checksum of the data in SPS_HOME: they change more often than FSPS's version."""
    home = Path(os.environ["SPS_HOME"])
    digest = hashlib.sha256()
    for path in sorted(path for folder in _DATA for path in (home / folder).rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(home)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def set_options(sps: Any, options: Mapping[str, object]) -> None:
    """Set options of a population; they stay until set again."""
    for name, value in options.items():
        sps.params[name] = value


def log_zmet_grid(sps: Any) -> Array:
    """Return the metallicities of the SSPs, log10(Z/Zsun)."""
    return np.log10(np.asarray(sps.zlegend, np.float64) / sps.solar_metallicity)


def nebular_nodes(sps: Any) -> tuple[Array, Array, Array]:
    """Read the nodes of the nebular tables from SPS_HOME: log Z, log age [yr], log U.

    The table of lines has a comment, the wavelengths, and then for each node log Z, age, log U and the luminosities.

    Raises
    ------
    UserError
        If the table is missing or not that of this FSPS.

    """
    path = Path(os.environ["SPS_HOME"]) / "nebular" / f"ZAU_ND_{libraries(sps)['isochrones']}.lines"
    n_line = len(sps.emline_wavelengths)
    try:
        numbers = np.array(path.read_text().partition("\n")[2].split(), np.float64)
        nodes = [np.unique(column) for column in numbers[n_line:].reshape(-1, 3 + n_line).T[:3]]
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the nebular table {path}: {error}. Check SPS_HOME.") from error
    log_zmet, age, log_us = nodes
    return log_zmet, np.log10(age), log_us


def line_names(wavelength: Array) -> tuple[str, ...]:
    """Return FSPS's names of the lines, from the list in SPS_HOME that has its wavelengths [A] and names."""
    path = Path(os.environ["SPS_HOME"]) / "data" / "emlines_info.dat"
    try:
        rows = [line.split(",", 1) for line in path.read_text().splitlines() if line.strip()]
        listed, names = np.array([float(row[0]) for row in rows]), [row[1].strip() for row in rows]
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"cannot read the list of emission lines {path}: {error}. Check SPS_HOME.") from error
    nearest = np.argmin(np.abs(np.log(listed / wavelength[:, None])), axis=1)
    if not np.allclose(listed[nearest], wavelength, rtol=1e-5) or len(set(nearest)) < len(nearest):
        raise UserError(f"{path} does not list the lines of this FSPS. Check that SPS_HOME is of the same version.")
    return tuple(names[i] for i in nearest)


def line_sigma(sps: Any) -> Array:
    """Return the width of the lines [A] as FSPS sets it: two pixels at half maximum or the library's resolution."""
    wavelength, lines = (np.asarray(values, np.float64) for values in (sps.wavelengths, sps.emline_wavelengths))
    i = np.clip(np.searchsorted(wavelength, lines, side="right") - 1, 0, len(wavelength) - 2)
    two_pixels = (wavelength[i + 1] - wavelength[i]) * 2.0 / 2.355
    return np.asarray(np.maximum(two_pixels, lines * np.abs(np.asarray(sps.resolutions)[i]) / (LIGHT * 1e-13)))


class Composite(NamedTuple):
    """What FSPS returns for one galaxy, per Msun formed.

    Attributes
    ----------
    spectrum : ndarray of shape (n_wave, )
        Rest-frame L_nu [Lsun/Hz].
    mass : float
        Surviving mass, remnants included [Msun].
    sfr : float
        Star-formation rate [Msun/yr].
    lines : ndarray of shape (n_line, )
        Luminosities of the emission lines behind the dust [Lsun].

    """

    spectrum: Array
    mass: float
    sfr: float
    lines: Array


def composite(
    age: float,
    tau: float,
    log_zmet: float,
    log_us: float,
    dust2: float,
    dust_index: float | None = None,
    *,
    nebular: bool,
    lines: bool = True,
    imf_type: int = 1,
    model: Model = DEFAULT_MODEL,
) -> Composite:
    """Return the results of FSPS for a population of 1 Msun formed.

    Parameters
    ----------
    age, tau : float
        [Gyr]; ``tau`` is unused for a constant history.
    log_zmet, log_us : float
        log10(Z/Zsun) of stars and gas, kept within the metallicities of FSPS; log10 U, kept within its nebular tables.
    dust2 : float
        Optical depth at 5500 A.
    dust_index : float, optional
        Slope of the attenuation curve; only used where the model leaves it free.
    nebular : bool
        Whether the gas shines.
    lines : bool
        Whether the spectrum has its lines (FSPS's ``nebemlineinspec``).
    imf_type : int
        FSPS's ``imf_type``.
    model : Model
        Options beside the parameters of the galaxy.

    Raises
    ------
    UserError
        If a parameter is outside the limits of FSPS, or FSPS does not return a spectrum.
    ValueError
        If the slope is free and none is given.

    """
    sps = population(imf_type)
    *_, slopes = checked(
        age, tau, log_zmet, log_us, dust2, dust_index, nebular=nebular, model=model, oldest=oldest_age(sps)
    )
    grid = log_zmet_grid(sps)
    zmet = float(np.clip(log_zmet, grid[0], grid[-1]))
    options = {"logzsol": zmet, "gas_logz": zmet, "dust2": float(dust2), "add_neb_emission": nebular}
    if model.slope_is_free:
        options["dust_index"] = float(slopes[0])
    if model.sfh != "constant":
        options["tau"] = float(tau)
    if nebular:
        options["gas_logu"] = float(log_us)
    with _LOCK:
        set_options(sps, ALWAYS | model_options(model) | options | {"nebemlineinspec": lines})
        _, spectrum = sps.get_spectrum(tage=float(age))
        result = Composite(spectrum, float(sps.stellar_mass), float(sps.sfr), np.asarray(sps.emline_luminosity))
    if not (np.isfinite(result.mass) and np.all(np.isfinite(spectrum)) and spectrum.max() > 1e-60):
        raise UserError(f"FSPS returned no spectrum for age {age} Gyr, tau {tau} Gyr, log Z {zmet}, dust2 {dust2}.")
    return result if nebular else result._replace(lines=np.zeros(len(result.lines)))


def model_options(model: Model) -> dict[str, object]:
    """Return FSPS's parameters for the options of a model.

    Raises
    ------
    UserError
        If FSPS lacks the attenuation curve.

    """
    curve_number = CURVES[model.dust_type].fsps
    if curve_number is None:
        raise UserError(f"FSPS has no curve {model.dust_type}: set sps.engine to table, or sps.dust_type to another.")
    named = {name: getattr(model, name) for name in _SAME_NAME if getattr(model, name) is not None}
    return {**SFH[model.sfh], "dust_type": curve_number, **named}


def oldest_age(sps: Any) -> float:
    """Return the age of the oldest SSP [Gyr]; FSPS would extrapolate beyond."""
    return float(10.0 ** (np.max(sps.ssp_ages) - 9.0))


class ReferenceEngine:
    """The interface of `mocksed.sps.engine.Engine`, computed by python-fsps one galaxy at a time.

    Parameters
    ----------
    imf_type : int
        FSPS's ``imf_type``.
    model : Model
        Options shared by all galaxies.

    """

    def __init__(self, imf_type: int = 1, model: Model = DEFAULT_MODEL) -> None:
        if model.lines_are_apart and model.add_dust_emission:
            raise UserError(
                f"FSPS cannot compute the emission of dust that absorbs lines with line_attenuation "
                f"{model.line_attenuation:g}; expected 1, add_dust_emission false, or the engine table."
            )
        self._imf_type = imf_type
        self.model = model
        sps = population(imf_type)
        self.wavelength = np.asarray(sps.wavelengths, np.float64)
        self.line_wavelength = np.asarray(sps.emline_wavelengths, np.float64)
        grid = log_zmet_grid(sps)
        self._log_zmet_range = float(grid[0]), float(grid[-1])

    @cached_property
    def line_name(self) -> tuple[str, ...]:
        """FSPS's names of the lines."""
        return line_names(self.line_wavelength)

    @cached_property
    def _log_us_range(self) -> tuple[float, float]:
        log_us = nebular_nodes(population(self._imf_type))[2]
        return float(log_us[0]), float(log_us[-1])

    @property
    def about(self) -> dict[str, object]:
        """The origin of the numbers, for the metadata of files."""
        return {
            "engine": "fsps",
            "sps_model": asdict(self.model),
            "python_fsps": version("fsps"),
            "libraries": libraries(population(self._imf_type)),
            "imf_type": self._imf_type,
            "sps_home_sha256": home_sha256(),
        }

    def clip_log_zmet(self, log_zmet: ArrayLike) -> Array:
        """Return metallicities moved into the range of FSPS, which would extrapolate."""
        return np.clip(np.asarray(log_zmet, np.float64), *self._log_zmet_range)

    def clip_log_us(self, log_us: ArrayLike) -> Array:
        """Return ionisation parameters moved into the range of FSPS's nebular tables, as FSPS does."""
        return np.clip(np.asarray(log_us, np.float64), *self._log_us_range)

    def spectra(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None = None, *, nebular: ArrayLike, mass_formed: ArrayLike = 1.0, lines: bool = True,
        lya_escape: ArrayLike | None = None, window: NDArray[np.integer] | None = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return rest-frame spectra, L_nu [Lsun/Hz], shape (n, n_wave), whatever the window: FSPS makes all of them.

        Raises
        ------
        UserError
            If Lyman alpha has its own escape fraction and dust emits, which FSPS cannot combine.

        """
        rows = self._rows(age, tau, log_zmet, log_us, dust2, dust_index, nebular)
        shines, mass = (np.broadcast_to(values, len(rows)) for values in (nebular, mass_formed))
        spectra = [m * self._spectrum(row, bool(lit), lines) for row, lit, m in zip(rows, shines, mass, strict=True)]
        if lya_escape is not None and lines:
            if self.model.add_dust_emission:
                raise UserError("FSPS cannot compute the emission of dust for this Lyman alpha. Use the engine table.")
            for i, escape in enumerate(np.broadcast_to(lya_escape, len(rows))):
                if shines[i]:
                    spectra[i] = spectra[i] + mass[i] * self._change_of_lyman_alpha(rows[i], float(escape))
        return np.reshape(spectra, (len(rows), len(self.wavelength))).astype(np.float32)

    def _spectrum(self, row: Array, nebular: bool, lines: bool = True) -> Array:
        """Return the spectrum of one galaxy; lines behind their own dust are the difference of two spectra."""
        if not (nebular and lines and self.model.lines_are_apart):
            return self._compute(row, nebular, lines).spectrum
        behind = self._behind_line_dust(row)
        drawn, bare = (self._compute(behind, nebular, lines).spectrum for lines in (True, False))
        return self._compute(row, nebular, lines=False).spectrum + drawn - bare

    def _behind_line_dust(self, row: Array) -> Array:
        """Return the parameters of one galaxy with the optical depth in front of its lines."""
        return np.concatenate([row[:4], [self.model.line_attenuation * row[4]], row[5:]])

    def _change_of_lyman_alpha(self, row: Array, escape: float) -> Array:
        """Return what to add to the spectrum of one galaxy such that a fraction of Lyman alpha leaves it."""
        i = lyman_alpha(self.line_name)
        luminosity = self._compute([*row[:4], 0.0, row[5]], nebular=True).lines[i]
        start, profile = (values[i] for values in self._profiles)
        covered = slice(start, min(start + len(profile), len(self.wavelength)))
        depth = self._behind_line_dust(row)[4] * curve(self.wavelength, self.model).at(row[5])[covered]
        change = np.zeros(len(self.wavelength))
        change[covered] = luminosity * profile[: len(depth)] * (escape - np.exp(-depth))
        return change

    @cached_property
    def _profiles(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return gas.line_profiles(self.wavelength, self.line_wavelength, line_sigma(population(self._imf_type)))

    def equivalent_widths(
        self, lines: Sequence[int], luminosity: Array, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike,
        log_us: ArrayLike, dust2: ArrayLike, dust_index: ArrayLike | None = None, *,
        lya_escape: ArrayLike | None = None,
    ) -> Array:  # fmt: skip
        """Return equivalent widths of some lines [A, rest frame], given their luminosities without dust [Lsun]."""
        rows = self._rows(age, tau, log_zmet, log_us, dust2, dust_index, nebular=True)
        bare = self.spectra(*rows.T, nebular=True, lines=False)
        depth = self.model.line_attenuation * rows[:, 4:5]
        let_through = np.exp(-depth * curve(self.wavelength, self.model).at(rows[:, 5:6]))
        pixel, weight = gas.below_lines(self.wavelength, self.line_wavelength, line_sigma(population(self._imf_type)))
        is_lyman_alpha = np.asarray(lines) == lyman_alpha(self.line_name)
        return gas.equivalent_widths(
            luminosity, bare, let_through, pixel[lines], weight[lines], is_lyman_alpha, lya_escape
        )

    def ionising_photons(self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike) -> Array:
        """Return the rate at which stars of 1 Msun formed make photons below 912 A [1/s], shape (n, )."""
        zero = np.zeros(np.shape(age))
        bare = self.spectra(age, tau, log_zmet, zero, zero, zero, nebular=False)
        return ionising_photons(self.wavelength, bare)

    def lines(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None = None, *, lya_escape: ArrayLike | None = None,
    ) -> Array:  # fmt: skip
        """Return the luminosities of the lines behind the dust [Lsun] of 1 Msun formed, shape (n, n_line).

        They are FSPS's ``emline_luminosity``, for the dust in front of the lines.
        """
        rows = self._rows(age, tau, log_zmet, log_us, dust2, dust_index, nebular=True)
        luminosity = [self._compute(self._behind_line_dust(row), nebular=True).lines for row in rows]
        out = np.reshape(luminosity, (len(rows), len(self.line_wavelength)))
        if lya_escape is not None:
            i = lyman_alpha(self.line_name)
            clear = [self._compute([*row[:4], 0.0, row[5]], nebular=True).lines[i] for row in rows]
            out[:, i] = np.asarray(clear) * lya_escape
        return out

    def derived(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
        dust_index: ArrayLike | None = None, *, nebular: bool,
    ) -> Derived:  # fmt: skip
        """Return SFR, surviving mass, UV magnitudes and colours, from the spectra."""
        rows = self._rows(age, tau, log_zmet, log_us, dust2, dust_index, nebular)
        weights = np.stack([photometry.band_weights(self.wavelength, band) for band in bands()])
        flux, intrinsic, mass = np.empty((len(rows), len(weights))), np.empty(len(rows)), np.empty(len(rows))
        for i, row in enumerate(rows):
            mass[i] = self._compute(row, nebular).mass
            flux[i] = weights @ self._spectrum(row, nebular)
            intrinsic[i] = weights[0] @ self._compute([*row[:4], 0.0, row[5]], nebular).spectrum
        return from_fluxes(self.model.sfh, rows[:, 0], rows[:, 1], mass, flux, intrinsic)

    def _rows(
        self,
        age: ArrayLike,
        tau: ArrayLike,
        log_zmet: ArrayLike,
        log_us: ArrayLike,
        dust2: ArrayLike,
        dust_index: ArrayLike | None,
        nebular: ArrayLike,
    ) -> Array:
        """Return the checked parameters, shape (n, 6)."""
        oldest = oldest_age(population(self._imf_type))
        arrays = checked(
            age, tau, log_zmet, log_us, dust2, dust_index, nebular=nebular, model=self.model, oldest=oldest
        )
        return np.stack(arrays, axis=-1)

    def _compute(self, row: Sequence[float] | Array, nebular: bool, lines: bool = True) -> Composite:
        parameters = (float(value) for value in row)
        return composite(*parameters, nebular=nebular, lines=lines, imf_type=self._imf_type, model=self.model)
