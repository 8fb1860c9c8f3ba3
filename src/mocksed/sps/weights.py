"""Star-formation histories as weights of SSPs.

FSPS interpolates SSPs linearly in log age and integrates the history against those hat functions; ages below the
youngest SSP count as that one (``sfh_weight.f90``, ``intsfwght.f90``). The integrals are done here by Gauss-Legendre
quadrature on pieces over which the integrand changes by at most a factor e: every term is positive, nothing cancels for
age << tau nor overflows for age >> tau, and four points a piece are exact to 1e-9. FSPS's closed form loses precision
as (tau / age)^2.
"""

import numba
import numpy as np
from numpy.typing import NDArray

# Gauss-Legendre on [0, 1]
_NODES, _WEIGHTS = (x.copy() for x in np.polynomial.legendre.leggauss(4))
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS

_MAX_LOG_STEP = 0.06  # dex
_LN10 = np.log(10.0)


@numba.njit(cache=True, error_model="numpy")
def delayed_tau_weights(age: float, tau: float, log_age: NDArray[np.float64], out: NDArray[np.float64]) -> int:
    """Fill ``out`` (n_age, ) with the mass formed in each SSP, for SFR ~ t exp(-t / tau) over ``age``; it sums to 1.

    Parameters
    ----------
    age, tau : float
        [Gyr].
    log_age : ndarray of shape (n_age, )
        log10 of the ages of the SSPs [yr].
    out : ndarray of shape (n_age, )
        Overwritten.

    Returns
    -------
    int
        Number of leading weights that can differ from zero.

    """
    n = len(log_age)
    out[:] = 0.0
    log_end = np.log10(age) + 9.0
    first = 10.0 ** (min(log_age[0], log_end) - 9.0)
    pieces = int(np.ceil(first / tau))
    step = first / pieces
    for p in range(pieces):
        for g in range(len(_NODES)):
            lookback = (p + _NODES[g]) * step
            out[0] += _WEIGHTS[g] * step * (age - lookback) * np.exp((lookback - age) / tau)
    used = 1
    for i in range(n - 1):
        low = log_age[i]
        if low >= log_end:
            break
        high = min(log_age[i + 1], log_end) if i < n - 2 else log_end  # the oldest SSP stands for what is older
        width = log_age[i + 1] - low
        span = 10.0 ** (high - 9.0) - 10.0 ** (low - 9.0)
        pieces = int(max(np.ceil(span / tau), np.ceil((high - low) / _MAX_LOG_STEP)))
        step = (high - low) / pieces
        for p in range(pieces):
            for g in range(len(_NODES)):
                s = low + (p + _NODES[g]) * step
                lookback = 10.0 ** (s - 9.0)
                formed = _WEIGHTS[g] * step * _LN10 * lookback * (age - lookback) * np.exp((lookback - age) / tau)
                right = min((s - low) / width, 1.0)
                out[i] += (1.0 - right) * formed
                out[i + 1] += right * formed
        used = i + 2
    total = 0.0
    for i in range(used):
        total += out[i]
    for i in range(used):
        out[i] /= total
    return used


@numba.vectorize(["float64(float64, float64)"], cache=True)
def psi_n(age: float, tau: float) -> float:  # type: ignore[misc]
    """Return the SFR at ``age`` per mass formed until then [1/Gyr] of a delayed-tau history (both in Gyr).

    x e^-x / (tau (1 - (1 + x) e^-x)) with x = age / tau; the denominator by its series where age << tau, with the limit
    2 / age.
    """
    x = age / tau
    if x < 0.03:
        # (e^x - 1 - x) / x^2 = 1/2 + x/6 + x^2/24 + ...
        series = 0.5 + x * (1 / 6 + x * (1 / 24 + x * (1 / 120 + x * (1 / 720 + x / 5040))))
        return 1.0 / (age * series)
    return x / (tau * (np.expm1(x) - x)) if x < 700.0 else x / tau * np.exp(-x)


@numba.njit(cache=True)
def survival(weights: NDArray[np.float64], used: int, low: NDArray[np.float64], high: NDArray[np.float64],
             fraction: float) -> float:  # fmt: skip
    """Return the surviving mass of weighted SSPs between two metallicities (FSPS's ``stellar_mass``)."""
    total = 0.0
    for i in range(used):
        total += weights[i] * ((1.0 - fraction) * low[i] + fraction * high[i])
    return total
