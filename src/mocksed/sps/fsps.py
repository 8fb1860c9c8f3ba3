"""python-fsps, guarded: the reference for every number of the engine, slow.

FSPS keeps its state in Fortran: one population per process, never two threads. It never raises on bad numbers and a
Fortran STOP ends Python with exit status 0, so what it returns is checked, and work whose end matters runs in a child
process.
"""

import os
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed import photometry
from mocksed.errors import UserError
from mocksed.sps.derived import Derived, bands, from_fluxes
from mocksed.sps.model import DEFAULT_MODEL, Model

MODEL = {
    "zcontinuous": 1,
    "dust_type": 2,
    "dust1": 0.0,
    "add_dust_emission": False,
    "compute_vega_mags": False,
}
"""Options of FSPS that all of mocksed shares: metallicity interpolated, Calzetti dust of one component."""


def population(imf_type: int = 1) -> Any:
    """Return the one `fsps.StellarPopulation` of this process.

    Raises
    ------
    UserError
        If SPS_HOME is not set, python-fsps is not installed, or another ``imf_type`` was asked for before.

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
    return fsps.StellarPopulation(imf_type=imf_type, **MODEL)


def composite(
    age: float, tau: float, log_zmet: float, log_us: float, dust2: float, nebular: bool, imf_type: int = 1
) -> tuple[NDArray[np.float64], float]:
    """Return spectrum [Lsun/Hz] and surviving mass [Msun] of a delayed-tau population of 1 Msun formed.

    Parameters
    ----------
    age, tau : float
        [Gyr].
    log_zmet, log_us : float
        log10(Z/Zsun) of stars and gas, kept within the metallicities of FSPS; log10 U.
    dust2 : float
        Optical depth at 5500 A.
    nebular : bool
        Whether the gas shines.

    Raises
    ------
    UserError
        If FSPS returned something that is no spectrum.

    """
    sps = population(imf_type)
    grid = np.log10(sps.zlegend / sps.solar_metallicity)
    log_zmet = float(np.clip(log_zmet, grid[0], grid[-1]))
    options = {"sfh": 4, "tau": tau, "logzsol": log_zmet, "gas_logz": log_zmet, "gas_logu": log_us, "dust2": dust2}
    for name, value in {**options, "add_neb_emission": nebular, "nebemlineinspec": True}.items():
        sps.params[name] = value
    _, spectrum = sps.get_spectrum(tage=age)
    mass = float(sps.stellar_mass)
    if not (np.isfinite(mass) and np.all(np.isfinite(spectrum)) and spectrum.max() > 1e-60):
        raise UserError(f"FSPS returned no spectrum for age {age} Gyr, tau {tau} Gyr, log Z {log_zmet}, dust2 {dust2}.")
    return spectrum, mass


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
        self._imf_type = imf_type
        self.model = model
        sps = population(imf_type)
        self.wavelength = np.asarray(sps.wavelengths, np.float64)
        grid = np.log10(sps.zlegend / sps.solar_metallicity)
        self._log_zmet_range = float(grid[0]), float(grid[-1])

    @property
    def about(self) -> dict[str, object]:
        """What the numbers come from, for the metadata of files."""
        libraries = [str(name, "ascii") for name in population(self._imf_type).libraries]
        return {"engine": "fsps", "python_fsps": version("fsps"), "libraries": libraries, "imf_type": self._imf_type}

    def clip_log_zmet(self, log_zmet: ArrayLike) -> NDArray[np.float64]:
        """Return metallicities moved into the range of FSPS, which would extrapolate."""
        return np.clip(np.asarray(log_zmet, np.float64), *self._log_zmet_range)

    def spectra(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike, *, nebular: bool
    ) -> NDArray[np.float32]:
        """Return spectra of 1 Msun formed, rest-frame L_nu [Lsun/Hz], shape (n, n_wave)."""
        rows = np.stack(np.broadcast_arrays(*map(np.atleast_1d, (age, tau, log_zmet, log_us, dust2))), axis=-1)
        found = [self._composite(row, nebular)[0] for row in rows]
        return np.reshape(found, (len(found), len(self.wavelength))).astype(np.float32)

    def derived(
        self, age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike, *, nebular: bool
    ) -> Derived:
        """Return SFR, surviving mass, UV magnitudes and colours, from the spectra."""
        rows = np.stack(np.broadcast_arrays(*map(np.atleast_1d, (age, tau, log_zmet, log_us, dust2))), axis=-1)
        weights = np.stack([photometry.band_weights(self.wavelength, band) for band in bands()])
        flux, intrinsic, mass = np.empty((len(rows), len(weights))), np.empty(len(rows)), np.empty(len(rows))
        for i, row in enumerate(rows):
            spectrum, mass[i] = self._composite(row, nebular)
            flux[i] = weights @ spectrum
            intrinsic[i] = weights[0] @ self._composite([*row[:4], 0.0], nebular)[0]
        return from_fluxes(self.model.sfh, rows[:, 0], rows[:, 1], mass, flux, intrinsic)

    def _composite(self, parameters: Sequence[float] | NDArray, nebular: bool) -> tuple[NDArray[np.float64], float]:
        age, tau, log_zmet, log_us, dust2 = (float(value) for value in parameters)
        return composite(age, tau, log_zmet, log_us, dust2, nebular, self._imf_type)
