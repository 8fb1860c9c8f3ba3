"""Dust attenuation curves, k(lambda) / k(5500 A), as FSPS codes them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.errors import UserError
from mocksed.sps.model import Model
from mocksed.sps.table import LIGHT, SSPTable


def calzetti(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Return the curve of Calzetti et al. (2000, eq 4), FSPS's ``dust_type=2``.

    Parameters
    ----------
    wavelength : array_like
        Rest frame [A].

    Returns
    -------
    ndarray, shape of ``wavelength``
        Optical depth relative to that at 5500 A (R_V = 4.05), zero beyond 3.1 um where the fit would turn negative.

    """
    x = 1e4 / np.asarray(wavelength, np.float64)
    red = 1.17 * (-1.857 + 1.04 * x) + 1.78
    blue = 1.17 * (-2.156 + x * (1.509 + x * (-0.198 + x * 0.011))) + 1.78
    curve = np.where(np.asarray(wavelength) > 6300.0, red, blue) / 0.44 / 4.05
    return np.maximum(curve, 0.0)


CURVES = {"calzetti": calzetti}
"""Attenuation curves by name."""


def curve(wavelength: ArrayLike, model: Model) -> NDArray[np.float64]:
    """Return the attenuation curve that the model names, relative to 5500 A."""
    return CURVES[model.dust_type](wavelength)


def emission(table: SSPTable, model: Model) -> NDArray[np.float64]:
    """Return the spectrum of the dust per luminosity (Draine & Li 2007), as FSPS's ``add_dust.f90``.

    A fraction ``duste_gamma`` of the dust is in radiation fields from ``duste_umin`` to 1e6 (a power law), the rest in
    ``duste_umin``. The emission per mass of dust is linear in both nodes of the table; ``duste_qpah`` and
    ``duste_umin`` beyond the end nodes count as these.

    Parameters
    ----------
    table : SSPTable
        With the emission at the nodes.
    model : Model
        With ``duste_qpah`` [%], ``duste_umin`` and ``duste_gamma``.

    Returns
    -------
    ndarray of shape (n_wave, )
        L_nu [1/Hz]; its integral over frequency (trapezium) is 1.

    Raises
    ------
    UserError
        If the table has no dust emission.

    """
    if not table.dust_emission.size:
        raise UserError(
            "sps.add_dust_emission is true, but the SSP table has no dust emission. Make the table from an FSPS that "
            "has it, or set sps.add_dust_emission to false."
        )
    qpah = np.array([np.interp(model.duste_qpah, table.dust_qpah, unit) for unit in np.eye(len(table.dust_qpah))])
    umin = np.array([np.interp(model.duste_umin, table.dust_umin, unit) for unit in np.eye(len(table.dust_umin))])
    gamma = np.array([1.0 - model.duste_gamma, model.duste_gamma])
    per_mass = np.einsum("q,u,g,qugw->w", qpah, umin, gamma, table.dust_emission)
    return np.asarray(per_mass / -np.trapezoid(per_mass, LIGHT / table.wavelength))
