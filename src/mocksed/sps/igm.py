"""Absorption by the intergalactic medium, as FSPS codes it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

LYMAN_ALPHA = 1215.67
"""No absorption redward of it [A]."""

# Wavelengths [A] and coefficients of the Lyman series (Madau 1995, eq 12 and below)
_LINES = (
    (1215.67, 0.0036), (1025.72, 0.0017), (972.537, 0.0011846), (949.743, 0.0009410), (937.803, 0.0007960),
    (930.748, 0.0006967), (926.226, 0.0006236), (923.150, 0.0005665), (920.963, 0.0005200), (919.352, 0.0004817),
    (918.129, 0.0004487), (917.181, 0.0004200), (916.429, 0.0003947), (915.824, 0.000372), (915.329, 0.000352),
    (914.919, 0.0003334), (914.576, 0.00031644),
)  # fmt: skip
_METALS = 0.0017
_LYMAN_LIMIT = 911.75


def madau1995(wavelength: ArrayLike, redshift: ArrayLike) -> NDArray[np.float32]:
    """Return the mean transmission of the intergalactic medium (Madau 1995, as in FSPS's ``igm_absorb.f90``).

    Every term is a function of wavelength times a power of 1 + z, so the powers of the wavelength are taken once.

    Parameters
    ----------
    wavelength : array_like of shape (n_wave, )
        Rest frame [A], increasing.
    redshift : array_like of shape (n, )
        Redshifts of the sources; no absorption at 0.

    Returns
    -------
    ndarray of shape (n, n_blue)
        On the wavelengths up to Lyman alpha; it is 1 redward.

    """
    wavelength = np.asarray(wavelength, np.float64)
    wavelength = wavelength[: np.searchsorted(wavelength, LYMAN_ALPHA, side="right")]
    z1 = 1.0 + np.asarray(redshift, np.float64)[:, None]
    series = sum(c * (wavelength / line) ** 3.46 * (wavelength <= line) for line, c in _LINES)
    tau = series * z1**3.46 + _METALS * (wavelength / LYMAN_ALPHA) ** 1.68 * z1**1.68
    x = wavelength[wavelength <= _LYMAN_LIMIT] / _LYMAN_LIMIT
    # approximation to eq 16 of Madau (1995), his footnote 3, in x (1 + z) = observed wavelength / Lyman limit
    tau[:, : len(x)] += (
        0.25 * x**3 * (1.0 - x**0.46) * z1**3.46
        + 9.4 * x**1.5 * (1.0 - x**0.18) * z1**1.68
        - 0.7 * x**3 * (x**-1.32 - 1.0) * z1**1.68
        - 0.023 * (1.0 - x**1.68) * z1**1.68
    )
    # The fit falls off at very short wavelengths: FSPS holds its maximum there.
    peak = np.argmax(tau, axis=1)
    highest = np.take_along_axis(tau, peak[:, None], axis=1)
    tau = np.where(np.arange(len(wavelength)) < peak[:, None], highest, tau)
    return np.where(z1 > 1.0, np.exp(-tau), 1.0).astype(np.float32)
