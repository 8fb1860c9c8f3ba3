"""Stellar mass functions of star-forming and quiescent galaxies (Williams et al. 2018).

Both are per comoving Mpc^3 and per dex of stellar mass, sums of Schechter functions

    Phi(M, z) = ln10 sum_i 10^lphi_i u_i^(1 + alpha_i) exp(-u_i),    u_i = 10^(log M - log M*_i),

whose parameters follow the redshift. Everything is computed in logarithms: above the knee Phi underflows.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import expit

from mocksed.rng import Stage, uniforms

Array = NDArray[np.float64]

_LN10 = np.log(10.0)

_QUIESCENT_LOG_MSTAR = 10.61
"""Knee of both quiescent components at all redshifts."""

_NODE_SPACING = 12.0 / 19.0
_FITTED_NODES = np.array(
    [  # alpha_A, lphi_A, alpha_B, lphi_B at z = 0, 0.6316, ... 3.7895
        (-0.2323, -2.6791, -1.8298, -4.7037),
        (-0.0615, -2.6768, -1.6835, -4.5310),
        (+0.1180, -3.1884, -0.9573, -4.0234),
        (+3.8107, -6.7368, -0.1694, -3.3083),
        (+0.5789, -4.4679, -0.1452, -3.6721),
        (+1.2138, -5.2960, -0.1490, -3.9526),
        (+1.8497, -6.6075, -0.1482, -4.2236),
    ]
)
# From z = 4.42 on there is one component, log Phi = a(M) - 0.4293 z. PCHIP through points on a straight line is that
# line, so three nodes of it continue the law to any redshift.
_LAW_Z = _NODE_SPACING * np.arange(7, 10)
_LAW_NODES = np.column_stack(
    [np.zeros(3), np.full(3, -np.inf), np.full(3, -0.148), -2.597 - 0.4293 * _LAW_Z]
)  # lphi_A = -inf: no component A
_NODES_Z = _NODE_SPACING * np.arange(10)
_NODES = np.concatenate([_FITTED_NODES, _LAW_NODES])


def _log_schechter(log_mstar: Array, log_knee: Array | float, alpha: Array, lphi: Array) -> Array:
    """Return log10 of one Schechter component per dex."""
    log_u = log_mstar - log_knee
    return np.log10(_LN10) + lphi + (1.0 + alpha) * log_u - 10.0**log_u / _LN10


def _log_sum(a: Array, b: Array) -> Array:
    """Return log10(10^a + 10^b)."""
    return np.logaddexp(a * _LN10, b * _LN10) / _LN10


def log_phi_star_forming(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the mass function of star-forming galaxies (Williams et al. 2018, double Schechter).

    Parameters
    ----------
    log_mstar : array_like
        log10 of the stellar mass [Msun].
    redshift : array_like
        Redshift >= 0; broadcasts with ``log_mstar``.

    Returns
    -------
    ndarray of the broadcast shape
        log10 Phi [Mpc^-3 dex^-1].

    Notes
    -----
    Refitted to the published curves: within 6e-7 dex at z = 4-10, 5e-4 dex at z < 3. Extrapolated above z = 12.

    """
    m, z = np.asarray(log_mstar, float), np.asarray(redshift, float)
    alpha_1 = np.where(z <= 4.0, -1.4100 - 0.4057 * np.exp(-z), -1.1554 - 0.0694 * z)
    lphi_1 = np.select(
        [z <= 4.0, z <= 8.0], [-2.8713 - 0.7243 * np.exp(-z), -2.0280 - 0.2262 * z], default=-0.6680 - 0.3962 * z
    )
    return _log_sum(
        _log_schechter(m, 10.2968 - 0.1508 * z, alpha_1, lphi_1),
        _log_schechter(m, 10.69078, -1.02033 + 0.29268 * z, -2.68340 + 0.057365 * z - 0.194025 * z**2),
    )


def log_phi_quiescent(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the mass function of quiescent galaxies (Williams et al. 2018).

    log Phi is interpolated at fixed mass with PCHIP in redshift; the parameters of the nodes must not be, they jump.

    Parameters
    ----------
    log_mstar : array_like
        log10 of the stellar mass [Msun].
    redshift : array_like
        Redshift >= 0; broadcasts with ``log_mstar``.

    Returns
    -------
    ndarray of the broadcast shape
        log10 Phi [Mpc^-3 dex^-1], within 1e-3 dex of the published curves.

    """
    m, z = np.broadcast_arrays(np.asarray(log_mstar, float), np.asarray(redshift, float))
    shape, m, z = m.shape, m.ravel(), z.ravel()
    interval = np.clip(np.searchsorted(_NODES_Z, z, side="right") - 1, 0, len(_NODES_Z) - 2)
    log_phi = np.empty(m.shape)
    for i in np.unique(interval):
        # PCHIP is local: the cubic of an interval depends on its two nodes and one more on either side.
        rows, near = interval == i, slice(max(i - 1, 0), i + 3)
        cubics = PchipInterpolator(_NODES_Z[near], _log_phi_at_nodes(m[rows], near)).c[:, i - near.start]
        log_phi[rows] = np.polyval(cubics, z[rows] - _NODES_Z[i])
    return log_phi.reshape(shape)


def _log_phi_at_nodes(log_mstar: Array, nodes: slice) -> Array:
    """Return log Phi of quiescent galaxies, shape (nodes, masses)."""
    alpha_a, lphi_a, alpha_b, lphi_b = _NODES[nodes].T[:, :, None]
    return _log_sum(
        _log_schechter(log_mstar, _QUIESCENT_LOG_MSTAR, alpha_a, lphi_a),
        _log_schechter(log_mstar, _QUIESCENT_LOG_MSTAR, alpha_b, lphi_b),
    )


def quiescent_fraction(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the quiescent part of all galaxies, Phi_Q / (Phi_Q + Phi_SF) of Williams et al. (2018).

    Parameters
    ----------
    log_mstar : array_like
        log10 of the stellar mass [Msun].
    redshift : array_like
        Redshift >= 0; broadcasts with ``log_mstar``.

    Returns
    -------
    ndarray of the broadcast shape
        Fraction between 0 and 1.

    """
    return expit(_LN10 * (log_phi_quiescent(log_mstar, redshift) - log_phi_star_forming(log_mstar, redshift)))


def draw_quiescent(fraction: Array, galaxy_id: NDArray[np.int64], seed: int, realisation: int = 0) -> NDArray[np.bool_]:
    """Return which galaxies are quiescent, from the probabilities that they are, shape (n, ).

    Each depends on the seed of the run, its id and the index of the realisation alone.
    """
    return uniforms(seed, Stage.CLASS, galaxy_id, 1, realisation=realisation)[:, 0] < fraction
