"""Dust attenuation curves, k(lambda) / k(5500 A), as FSPS codes them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.sps.model import Model


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
