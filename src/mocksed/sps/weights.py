"""Star-formation histories as weights of SSPs.

FSPS interpolates SSPs linearly in log age and integrates the history against those hat functions; ages below the
youngest SSP count as that one (``sfh_weight.f90``, ``intsfwght.f90``). The integrals are done here by Gauss-Legendre
quadrature on pieces over which the integrand changes by at most a factor e: every term is positive, nothing cancels for
age << tau nor overflows for age >> tau, and four points a piece are exact to 1e-9. FSPS's closed form loses precision
as (tau / age)^2.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.compiled import njit, vectorize

Array = NDArray[np.float64]

HISTORIES = ("delayed_tau", "tau", "constant")
"""Star-formation histories: SFR ~ t exp(-t / tau), exp(-t / tau), 1, with t the time since star formation began."""

# Gauss-Legendre on [0, 1]
_NODES, _WEIGHTS = (x.copy() for x in np.polynomial.legendre.leggauss(4))
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS

_LN10 = np.log(10.0)
_MAX_LOG_STEP = 0.06  # dex: beyond, an interval between SSPs is integrated in pieces
_NEGLIGIBLE = -40.0  # in ln: an interval in which stars formed slower than at the peak by this factor is left out

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.0 / np.log(2.0), 6.93147180369123816490e-01, 1.90821492927058770002e-10
_EXP = tuple(float(1.0 / np.prod(np.arange(1.0, n + 1))) for n in range(12))


class History(NamedTuple):
    """A star-formation history and the nodes of its integrals; a named tuple, since numba can take one.

    Attributes
    ----------
    power : int
        Power of the time that multiplies the exponential: 1 for delayed tau, else 0.
    declines : bool
        Whether the SFR falls with exp(-t / tau); a constant one does not.
    log_age : ndarray of shape (n_age, )
        log10 of the ages of the SSPs [yr].
    lookback : ndarray of shape (n_node, n_age - 1)
        Nodes of the quadrature between neighbouring SSPs [Gyr].
    younger, older : ndarrays of shape (n_node, n_age - 1)
        Their weights [Gyr], times the hat functions of the younger and of the older SSP.
    whole : ndarray of bool of shape (n_age - 1, )
        Whether an interval is narrow enough for one piece, as long as tau allows.

    """

    power: int
    declines: bool
    log_age: Array
    lookback: Array
    younger: Array
    older: Array
    whole: NDArray[np.bool_]


def history(name: str, log_age: Array) -> History:
    """Return the history of a name in `HISTORIES` over SSPs of log10 ages [yr]."""
    width = np.diff(log_age)
    lookback = 10.0 ** (log_age[:-1] + _NODES[:, None] * width - 9.0)
    weight = _WEIGHTS[:, None] * width * _LN10 * lookback
    return History(
        power=int(name == "delayed_tau"),
        declines=name != "constant",
        log_age=np.ascontiguousarray(log_age, np.float64),
        lookback=lookback,
        younger=weight * (1.0 - _NODES[:, None]),
        older=weight * _NODES[:, None],
        whole=width <= _MAX_LOG_STEP,
    )


@njit(inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """Return e^x to 1e-14 for -700 < x < 700; unlike the library's, LLVM vectorises it."""
    k = np.floor(x * _LOG2_E + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    high = _EXP[8] + r * (_EXP[9] + r * (_EXP[10] + r * _EXP[11]))
    series = _EXP[0] + r * (_EXP[1] + r * (_EXP[2] + r * (_EXP[3] + r * (_EXP[4] + r * (_EXP[5] + r * (
        _EXP[6] + r * (_EXP[7] + r * high)))))))  # fmt: skip
    return series * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@njit(inline="always")
def _rate(history, age, per_tau, lookback):  # type: ignore[no-untyped-def]
    """Return the SFR at a lookback time, in arbitrary units."""
    began = age - lookback
    return (began if history.power else 1.0) * _exp(max(-began * per_tau, -700.0))


@njit(error_model="numpy", fastmath={"contract"})
def ssp_weights(history: History, age: float, tau: float, out: Array) -> int:
    """Fill ``out`` (n_age, ) with the mass formed in each SSP by a history of an age; it sums to 1.

    Parameters
    ----------
    history : History
        The kind of history.
    age, tau : float
        [Gyr].
    out : ndarray of shape (n_age, )
        Overwritten.

    Returns
    -------
    int
        Number of leading weights that can differ from zero.

    """
    log_age = history.log_age
    n = len(log_age)
    per_tau = 1.0 / tau if history.declines else 0.0
    out[:] = 0.0
    log_end = np.log10(age) + 9.0
    first = 10.0 ** (min(log_age[0], log_end) - 9.0)
    pieces = int(max(np.ceil(first * per_tau), 1.0))
    for p in range(pieces):
        for g in range(len(_NODES)):
            lookback = (p + _NODES[g]) * first / pieces
            out[0] += _WEIGHTS[g] * first / pieces * _rate(history, age, per_tau, lookback)
    # intervals that end before the history began, from the first in which the SFR is not negligible
    complete = 0
    while complete < n - 1 and log_age[complete + 1] <= log_end:
        complete += 1
    start, stop = 0, 0
    while start < complete and (10.0 ** (log_age[start + 1] - 9.0) - age) * per_tau < _NEGLIGIBLE:
        start += 1
    stop = start
    while stop < complete and history.whole[stop] and history.lookback[0, stop] * _LN10 * _MAX_LOG_STEP * per_tau < 0.8:
        stop += 1
    formed = np.empty(n)
    for g in range(len(_NODES)):
        lookback, younger, older = history.lookback[g], history.younger[g], history.older[g]
        for i in range(start, stop):
            formed[i] = _rate(history, age, per_tau, lookback[i])
            out[i] += younger[i] * formed[i]
        for i in range(start, stop):
            out[i + 1] += older[i] * formed[i]
    used = stop + 1
    # wide intervals, and the one in which the history began; the oldest SSP stands for what is older
    for i in range(stop, n):
        low = log_age[i]
        if low >= log_end:
            break
        oldest = i == n - 1
        width = np.inf if oldest else log_age[i + 1] - low
        high = log_end if oldest else min(log_age[i + 1], log_end)
        span = 10.0 ** (high - 9.0) - 10.0 ** (low - 9.0)
        pieces = int(max(np.ceil(span * per_tau), np.ceil((high - low) / _MAX_LOG_STEP)))
        step = (high - low) / pieces
        for p in range(pieces):
            for g in range(len(_NODES)):
                s = low + (p + _NODES[g]) * step
                lookback = 10.0 ** (s - 9.0)
                mass = _WEIGHTS[g] * step * _LN10 * lookback * _rate(history, age, per_tau, lookback)
                right = min((s - low) / width, 1.0)
                out[i] += (1.0 - right) * mass
                if not oldest:
                    out[i + 1] += right * mass
        used = min(i + 2, n)
    total = 0.0
    for i in range(used):
        total += out[i]
    for i in range(used):
        out[i] /= total
    return used


@vectorize(["float64(float64, float64)"])
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


def _psi_tau(age: ArrayLike, tau: ArrayLike) -> Array:
    x = np.asarray(age) / np.asarray(tau)
    return np.asarray(np.exp(-x) / (-np.expm1(-x) * tau))


def _psi_constant(age: ArrayLike, tau: ArrayLike) -> Array:
    return np.broadcast_arrays(1.0 / np.asarray(age, np.float64), tau)[0]


_PSI: dict[str, Callable[[ArrayLike, ArrayLike], Array]] = {
    "delayed_tau": psi_n,
    "tau": _psi_tau,
    "constant": _psi_constant,
}


def sfr_per_mass_formed(history: str, age: ArrayLike, tau: ArrayLike) -> Array:
    """Return the SFR at ``age`` per mass formed until then [1/Gyr] of a history in `HISTORIES` (both in Gyr)."""
    return _PSI[history](age, tau)


def mean_sfr_per_mass_formed(history: str, age: ArrayLike, tau: ArrayLike, over: float) -> Array:
    """Return the SFR averaged over the time before ``age``, per mass formed until then [1/Gyr].

    Parameters
    ----------
    history : str
        One of `HISTORIES`.
    age, tau : array_like of shape (n, )
        Age and e-folding time [Gyr].
    over : float
        The time [Gyr]; what is younger formed nothing before, and has all its mass over this time.

    Returns
    -------
    ndarray of shape (n, )
        The integral of the history from age - over to age, over that of ``over``, in closed form: relative to the rate
        at ``age``, with x = age / tau, d = over / tau, it is ((1 + x - d) (e^d - 1) - d) / (d x) for delayed tau,
        (e^d - 1) / d for tau, and 1 for a constant one.

    """
    age, tau = np.broadcast_arrays(np.asarray(age, np.float64), tau)
    d = np.minimum(over, age) / tau
    grown = np.expm1(d)
    relative = {
        "delayed_tau": lambda: ((1.0 + age / tau - d) * grown - d) * tau / (d * age),
        "tau": lambda: grown / d,
        "constant": lambda: 1.0,
    }[history]()
    mean = sfr_per_mass_formed(history, age, tau) * relative
    return np.asarray(np.where(age > over, mean, 1.0 / over))


@njit()
def survival(weights: NDArray[np.float64], used: int, low: NDArray[np.float64], high: NDArray[np.float64],
             fraction: float) -> float:  # fmt: skip
    """Return the surviving mass of weighted SSPs between two metallicities (FSPS's ``stellar_mass``)."""
    total = 0.0
    for i in range(used):
        total += weights[i] * ((1.0 - fraction) * low[i] + fraction * high[i])
    return total
