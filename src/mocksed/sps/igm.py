"""Absorption by the intergalactic medium: its mean transmission by wavelength and redshift.

Optical depths are sums of powers of the observed wavelength and of 1 + z, so the powers of the rest-frame wavelength
are taken once for all galaxies.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.compiled import njit, prange

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

LYMAN_ALPHA = 1215.67
"""No absorption redward of it [A]."""


def transmission(
    model: str, wavelength: ArrayLike, redshift: ArrayLike, begin: NDArray[np.int64] | None = None
) -> Float32:
    """Return the mean transmission of the intergalactic medium.

    Parameters
    ----------
    model : str
        One of `MODELS`, or "none".
    wavelength : array_like of shape (n_wave, )
        Rest frame [A], increasing.
    redshift : array_like of shape (n, )
        Redshifts of the sources.
    begin : ndarray of int of shape (n, ), optional
        Index of the first wavelength that is needed of each source. Those before may be NaN.

    Returns
    -------
    ndarray of shape (n, n_blue + 1)
        On the wavelengths below Lyman alpha and, last, just blueward of Lyman alpha, where it steps up to 1; without
        columns for "none".

    """
    if model == "none":
        return np.empty((len(np.asarray(redshift)), 0), np.float32)
    wavelength = np.asarray(wavelength, np.float64)
    below = wavelength[: np.searchsorted(wavelength, LYMAN_ALPHA)]
    return MODELS[model](np.append(below, LYMAN_ALPHA), redshift, begin)


# Wavelengths [A] and coefficients of the Lyman series (Madau 1995, eq 12 and below)
_MADAU_LINES = (
    (1215.67, 0.0036), (1025.72, 0.0017), (972.537, 0.0011846), (949.743, 0.0009410), (937.803, 0.0007960),
    (930.748, 0.0006967), (926.226, 0.0006236), (923.150, 0.0005665), (920.963, 0.0005200), (919.352, 0.0004817),
    (918.129, 0.0004487), (917.181, 0.0004200), (916.429, 0.0003947), (915.824, 0.000372), (915.329, 0.000352),
    (914.919, 0.0003334), (914.576, 0.00031644),
)  # fmt: skip
_MADAU_METALS = 0.0017
_MADAU_LIMIT = 911.75


def madau1995(wavelength: ArrayLike, redshift: ArrayLike, begin: NDArray[np.int64] | None = None) -> Float32:
    """Return the mean transmission of Madau (1995), as FSPS codes it (``igm_absorb.f90``).

    Parameters
    ----------
    wavelength : array_like of shape (n_wave, )
        Rest frame [A], increasing.
    redshift : array_like of shape (n, )
        Redshifts of the sources; no absorption at 0.
    begin : ndarray of int of shape (n, ), optional
        As for `transmission`.

    Returns
    -------
    ndarray of shape (n, n_blue)
        On the wavelengths up to Lyman alpha, for those of lines just blueward of them; it is 1 redward.

    """
    wavelength = _blue(wavelength)
    forest = np.zeros(len(wavelength))
    for line, coefficient in _MADAU_LINES:
        forest += coefficient * (wavelength / line) ** 3.46 * (wavelength <= line)
    metals = _MADAU_METALS * (wavelength / LYMAN_ALPHA) ** 1.68
    # approximation to eq 16 of Madau (1995), his footnote 3, in x (1 + z) = observed wavelength / Lyman limit
    x = wavelength[wavelength <= _MADAU_LIMIT] / _MADAU_LIMIT
    forest[: len(x)] += 0.25 * x**3 * (1.0 - x**0.46)
    metals[: len(x)] += (
        9.4 * x**1.5 * (1.0 - x**0.18) - 0.7 * x**3 * (x**-1.32 - 1.0) - 0.023 * (1.0 - x**1.68)
    )  # fmt: skip
    z1 = 1.0 + np.asarray(redshift, np.float64)
    out = np.empty((len(z1), len(wavelength)), np.float32)
    _madau1995(z1, _begin(begin, len(z1)), forest, metals, len(x), out)
    return out


@njit(parallel=True, fastmath={"contract"})
def _madau1995(
    z1: Float64, begin: NDArray[np.int64], forest: Float64, metals: Float64, n_continuum: int, out: Float32
) -> None:
    for g in prange(len(z1)):
        if begin[g] >= len(forest):
            out[g] = np.float32(np.nan)
            continue
        if z1[g] <= 1.0:
            out[g] = np.float32(1.0)
            continue
        steep, shallow = z1[g] ** 3.46, z1[g] ** 1.68
        peak, highest = 0, -np.inf
        for i in range(len(forest)):
            tau = steep * forest[i] + shallow * metals[i]
            if tau > highest and i < n_continuum:
                peak, highest = i, tau
            out[g, i] = np.exp(-tau)
        # The fit of the continuum falls off at very short wavelengths: FSPS holds its maximum there.
        out[g, :peak] = np.exp(-highest)


# Wavelengths [A] and coefficients of the Lyman series in the forest below z = 1.2 and in damped systems below z = 2
# (Inoue et al. 2014, table 2)
_INOUE_LINES = np.array([
    (1215.67, 1.690e-2, 1.617e-4), (1025.72, 4.692e-3, 1.545e-4), (972.537, 2.239e-3, 1.498e-4),
    (949.743, 1.319e-3, 1.460e-4), (937.803, 8.707e-4, 1.429e-4), (930.748, 6.178e-4, 1.402e-4),
    (926.226, 4.609e-4, 1.377e-4), (923.150, 3.569e-4, 1.355e-4), (920.963, 2.843e-4, 1.335e-4),
    (919.352, 2.318e-4, 1.316e-4), (918.129, 1.923e-4, 1.298e-4), (917.181, 1.622e-4, 1.281e-4),
    (916.429, 1.385e-4, 1.265e-4), (915.824, 1.196e-4, 1.250e-4), (915.329, 1.043e-4, 1.236e-4),
    (914.919, 9.174e-5, 1.222e-4), (914.576, 8.128e-5, 1.209e-4), (914.286, 7.251e-5, 1.197e-4),
    (914.039, 6.505e-5, 1.185e-4), (913.826, 5.868e-5, 1.173e-4), (913.641, 5.319e-5, 1.162e-4),
    (913.480, 4.843e-5, 1.151e-4), (913.339, 4.427e-5, 1.140e-4), (913.215, 4.063e-5, 1.130e-4),
    (913.104, 3.738e-5, 1.120e-4), (913.006, 3.454e-5, 1.110e-4), (912.918, 3.199e-5, 1.101e-4),
    (912.839, 2.971e-5, 1.091e-4), (912.768, 2.766e-5, 1.082e-4), (912.703, 2.582e-5, 1.073e-4),
    (912.645, 2.415e-5, 1.065e-4), (912.592, 2.263e-5, 1.056e-4), (912.543, 2.126e-5, 1.048e-4),
    (912.499, 2.000e-5, 1.040e-4), (912.458, 1.885e-5, 1.032e-4), (912.420, 1.779e-5, 1.024e-4),
    (912.385, 1.682e-5, 1.017e-4), (912.353, 1.593e-5, 1.009e-4), (912.324, 1.510e-5, 1.002e-4),
])  # fmt: skip
_INOUE_LIMIT = 911.8

# Density of absorbers: powers of 1 + z that change at these 1 + z in the forest (LAF) and in damped systems (DLA)
_LAF1, _LAF2, _DLA1 = 2.2, 5.7, 3.0
_POWERS = np.array([1.2, 3.7, 5.5, 2.0, 3.0, 2.1, -0.3])

# Lyman continuum (eqs 25-29): x^2.1 [G(1 + z) - G(x)] for the forest, A(1 + z) - A(x) - x^-0.3 [B(1 + z) - B(x)] for
# damped systems, x = observed wavelength / Lyman limit. The four digits are those of the authors' code; the paper
# prints three, which leaves steps of up to 5 % in transmission where two regimes meet.
_G1, _G2, _G3, _G2_0, _G3_0 = 0.3248, 2.545e-2, 5.221e-4, -0.2496, -3.140e-2
_A1, _B1, _AB1 = 0.2113, 0.07661, 0.1347
_A2, _B2, _AB2, _A2_0, _B2_0 = 0.04696, 0.01779, 0.02916, 0.6340, 0.2905


def inoue2014(wavelength: ArrayLike, redshift: ArrayLike, begin: NDArray[np.int64] | None = None) -> Float32:
    """Return the mean transmission of Inoue, Shimizu, Iwata & Tanaka (2014, MNRAS 442, 1805, eqs 20-29).

    Lyman series (j = 2 to 40) and Lyman continuum of the Lyman alpha forest and of damped systems. No absorber is at
    z < 0, which matters at observed wavelengths below 1216 A only.

    Parameters
    ----------
    wavelength : array_like of shape (n_wave, )
        Rest frame [A], increasing.
    redshift : array_like of shape (n, )
        Redshifts of the sources; no absorption at 0.
    begin : ndarray of int of shape (n, ), optional
        As for `transmission`.

    Returns
    -------
    ndarray of shape (n, n_blue)
        On the wavelengths up to Lyman alpha, for those of lines just blueward of them; it is 1 redward.

    """
    u = _blue(wavelength) / _INOUE_LIMIT
    line, forest, damped = (_INOUE_LINES / (_INOUE_LIMIT, 1.0, 1.0)).T
    densities = np.stack([forest, forest * _LAF1**-2.5, forest * _LAF1**-2.5 * _LAF2**-1.8, damped, damped / _DLA1])
    cumulative = np.zeros((len(densities), len(line) + 1))
    cumulative[:, 1:] = np.cumsum(densities * line ** -_POWERS[: len(densities), None], axis=1)
    z1 = 1.0 + np.asarray(redshift, np.float64)
    out = np.empty((len(z1), len(u)), np.float32)
    _inoue2014(z1, _begin(begin, len(z1)), u, u[:, None] ** _POWERS, line, cumulative, out)
    return out


@njit(parallel=True, fastmath={"contract"})
def _inoue2014(
    z1: Float64, begin: NDArray[np.int64], u: Float64, u_powers: Float64, line: Float64, cumulative: Float64,
    out: Float32,
) -> None:  # fmt: skip
    """Fill ``out`` (n, n_wave) for wavelengths ``u`` (n_wave, ) over the Lyman limit and their powers.

    ``cumulative`` (5, n_line + 1) sums the coefficients of the lines, from the red, for each of the first powers.
    """
    for g in prange(len(z1)):
        out[g, : begin[g]] = np.float32(np.nan)
        y = z1[g]
        if y <= 1.0:
            out[g] = np.float32(1.0)
            continue
        scale = y**_POWERS
        if y < _LAF1:
            g_y = -_G1 * y**-0.9
        elif y < _LAF2:
            g_y = _G2_0 + _G2 * y**1.6
        else:
            g_y = _G3_0 + _G3 * y**3.4
        if y < _DLA1:
            a_y, b_y = _A1 * y**2, _B1 * y**2.3
        else:
            a_y, b_y = _A2_0 + _A2 * y**3, _B2_0 + _B2 * y**3.3
        # lines, counted from the red, that absorb within the source's redshift, at z < 0, and below each break
        within = future = laf1 = laf2 = dla1 = len(line)
        for i in range(begin[g], len(u)):
            x = u[i] * y
            while within > 0 and line[within - 1] < u[i]:
                within -= 1
            while future > 0 and line[future - 1] <= x:
                future -= 1
            while laf1 > 0 and line[laf1 - 1] * _LAF1 <= x:
                laf1 -= 1
            while laf2 > 0 and line[laf2 - 1] * _LAF2 <= x:
                laf2 -= 1
            while dla1 > 0 and line[dla1 - 1] * _DLA1 <= x:
                dla1 -= 1
            x12, x37, x55 = u_powers[i, 0] * scale[0], u_powers[i, 1] * scale[1], u_powers[i, 2] * scale[2]
            x20, x30 = u_powers[i, 3] * scale[3], u_powers[i, 4] * scale[4]
            first, n1, n2, nd = min(future, within), min(laf1, within), min(laf2, within), min(dla1, within)
            tau = (
                x12 * (cumulative[0, n1] - cumulative[0, first])
                + x37 * (cumulative[1, n2] - cumulative[1, n1])
                + x55 * (cumulative[2, within] - cumulative[2, n2])
                + x20 * (cumulative[3, nd] - cumulative[3, first])
                + x30 * (cumulative[4, within] - cumulative[4, nd])
            )
            if u[i] < 1.0:
                x21, x03 = u_powers[i, 5] * scale[5], u_powers[i, 6] * scale[6]
                if x < 1.0:
                    near = -_G1 * x21
                elif x < _LAF1:
                    near = -_G1 * x12
                elif x < _LAF2:
                    near = _G2_0 * x21 + _G2 * x37
                else:
                    near = _G3_0 * x21 + _G3 * x55
                if x < 1.0:
                    damped = _A1 - _B1 * x03
                elif x < _DLA1:
                    damped = _AB1 * x20
                else:
                    damped = _A2_0 - _B2_0 * x03 + _AB2 * x30
                tau += x21 * g_y - near + a_y - b_y * x03 - damped
            out[g, i] = np.exp(-tau)


MODELS: dict[str, Callable[..., Float32]] = {"madau1995": madau1995, "inoue2014": inoue2014}
"""Models of the transmission by name."""


def _begin(begin: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    return np.zeros(n, np.int64) if begin is None else np.asarray(begin, np.int64)


def _blue(wavelength: ArrayLike) -> Float64:
    """Return the wavelengths up to Lyman alpha."""
    wavelength = np.asarray(wavelength, np.float64)
    return wavelength[: np.searchsorted(wavelength, LYMAN_ALPHA, side="right")]
