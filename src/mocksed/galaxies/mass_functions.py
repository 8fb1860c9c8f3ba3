"""Stellar mass functions of star-forming and quiescent galaxies, by name (`MASS_FUNCTIONS`).

All are per comoving Mpc^3 and per dex of stellar mass, sums of Schechter functions

    Phi(M, z) = ln10 sum_i 10^lphi_i u_i^(1 + alpha_i) exp(-u_i),    u_i = 10^(log M - log M*_i).

Those of Williams et al. (2018) are smooth functions of redshift; the others were measured in bins of redshift, between
which log Phi at fixed mass is linear. Everything is computed in logarithms, because Phi underflows far above the knee.
Masses are for a Chabrier IMF. The papers use H0 = 70 km/s/Mpc and Om0 = 0.3, and nothing is converted: with H0 = 67.66
densities would be 0.04 dex lower and masses 0.03 dex higher.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import expit

from mocksed.relations.table import Grid
from mocksed.rng import Stage, uniforms

Array = NDArray[np.float64]
LogPhi = Callable[[ArrayLike, ArrayLike], Array]
"""log10 Phi [Mpc^-3 dex^-1] as a function of log10 of the stellar mass [Msun] and of redshift."""

_LN10 = np.log(10.0)

_QUIESCENT_LOG_MSTAR = 10.61
"""log10 of the knee [Msun] of both quiescent components of Williams et al. (2018), at all redshifts."""

_NODE_SPACING = 12.0 / 19.0  # in redshift
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
# From z = 4.42 on there is only component B, whose log Phi falls linearly with redshift at every mass. PCHIP through
# points on a straight line is that line, so three nodes on it are enough to continue it to any redshift.
_LAW_Z = _NODE_SPACING * np.arange(7, 10)
_LAW_NODES = np.column_stack(
    [np.zeros(3), np.full(3, -np.inf), np.full(3, -0.148), -2.597 - 0.4293 * _LAW_Z]
)  # lphi_A = -inf: component A is absent
_NODES_Z = _NODE_SPACING * np.arange(10)
_NODES = np.concatenate([_FITTED_NODES, _LAW_NODES])


def _log_schechter(log_mstar: Array, log_knee: Array | float, alpha: Array | float, lphi: Array | float) -> Array:
    """Return log10 of one Schechter component [Mpc^-3 dex^-1], where ``lphi`` is log10 of its phi* [Mpc^-3]."""
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
    The parameters are refitted to the published curves and reproduce them within 6e-7 dex at z = 4-10 and 5e-4 dex at
    z < 3. Above z = 12 they are extrapolated.

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

    log Phi at fixed mass is interpolated in redshift with PCHIP. The Schechter parameters cannot be interpolated
    instead: they jump from node to node.

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
        # PCHIP is local: the cubic of an interval depends only on its two nodes and their neighbours.
        rows, near = interval == i, slice(max(i - 1, 0), i + 3)
        cubics = PchipInterpolator(_NODES_Z[near], _log_phi_at_nodes(m[rows], near)).c[:, i - near.start]
        log_phi[rows] = np.polyval(cubics, z[rows] - _NODES_Z[i])
    return log_phi.reshape(shape)


def _log_phi_at_nodes(log_mstar: Array, nodes: slice) -> Array:
    """Return log10 Phi of quiescent galaxies [Mpc^-3 dex^-1] at some of the nodes, shape (n_node, n_mass)."""
    alpha_a, lphi_a, alpha_b, lphi_b = _NODES[nodes].T[:, :, None]
    return _log_sum(
        _log_schechter(log_mstar, _QUIESCENT_LOG_MSTAR, alpha_a, lphi_a),
        _log_schechter(log_mstar, _QUIESCENT_LOG_MSTAR, alpha_b, lphi_b),
    )


@dataclass(frozen=True)
class Binned:
    """A mass function that was measured in bins of redshift.

    Between the middles of the bins, log Phi at fixed mass is linear in redshift. Below the first it is constant; above
    the last it keeps its shape and changes by `DECLINE` per unit of redshift.

    Attributes
    ----------
    redshift : tuple of float
        Middles of the bins, increasing.
    parameters : tuple of tuples of float
        For each bin: log10 of the knee [Msun], then alpha and phi* [10^-3 Mpc^-3] of one or two components.

    """

    redshift: tuple[float, ...]
    parameters: tuple[tuple[float, ...], ...]

    def __call__(self, log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
        """Return log10 Phi [Mpc^-3 dex^-1], in the shape to which log10 of masses [Msun] and redshifts broadcast."""
        m, z = np.broadcast_arrays(np.asarray(log_mstar, float), np.asarray(redshift, float))
        position = np.interp(z, self.redshift, np.arange(len(self.redshift)))  # in units of bins
        below = np.minimum(position.astype(int), len(self.redshift) - 2)
        log_phi = np.empty(m.shape)
        for i in np.unique(below):
            rows = below == i
            first, second = (self._in_bin(m[rows], j) for j in (i, i + 1))
            log_phi[rows] = first + (position[rows] - i) * (second - first)
        return np.asarray(log_phi + DECLINE * np.maximum(z - self.redshift[-1], 0.0))

    def _in_bin(self, log_mstar: Array, i: int) -> Array:
        """Return log10 Phi in the middle of bin ``i`` [Mpc^-3 dex^-1]."""
        log_knee, *components = self.parameters[i]
        log_phis = [
            _log_schechter(log_mstar, log_knee, alpha, np.log10(1e-3 * phi))
            for alpha, phi in zip(components[::2], components[1::2], strict=True)
        ]
        return log_phis[0] if len(log_phis) == 1 else _log_sum(*log_phis)


DECLINE = -0.30
"""Change of log Phi per unit of redshift above the last bin [dex]: that of Weaver et al. (2023) between their last two
bins, z = 6 and 7, where the mass functions have much the same shape."""


@dataclass(frozen=True)
class Divided:
    """The mass function of one class, from that of all galaxies and the measured share of the quiescent.

    Attributes
    ----------
    total : callable
        log10 Phi of all galaxies [Mpc^-3 dex^-1].
    share : Grid
        Share of the quiescent, between 0 and 1, as a function of log10 of the stellar mass [Msun] and of redshift.
    quiescent : bool
        Whether the class is that of the quiescent galaxies.

    """

    total: LogPhi
    share: Grid
    quiescent: bool

    def __call__(self, log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
        """Return log10 Phi of the class [Mpc^-3 dex^-1], in the shape to which masses and redshifts broadcast."""
        share = self.share(log_mstar, redshift)
        return np.asarray(self.total(log_mstar, redshift) + np.log10(share if self.quiescent else 1.0 - share))


_BINS = (0.35, 0.65, 0.95, 1.3, 1.75, 2.25, 2.75, 3.25)
"""Middles of the redshift bins below z = 3.5 that both papers on COSMOS use."""

_DAVIDZON2017_STAR_FORMING = Binned(
    (*_BINS, 3.75, 5.0),
    (
        (10.26, -1.29, 2.410, 1.01, 1.30),
        (10.40, -1.32, 1.661, 0.84, 0.86),
        (10.35, -1.29, 1.739, 0.81, 0.95),
        (10.42, -1.21, 1.542, 1.11, 0.49),
        (10.40, -1.24, 1.156, 0.90, 0.46),
        (10.45, -1.50, 0.441, 0.59, 0.38),
        (10.39, -1.52, 0.441, 1.05, 0.13),
        (10.83, -1.78, 0.086),
        (10.77, -1.84, 0.052),
        (11.30, -2.12, 0.003),
    ),
)
_DAVIDZON2017_QUIESCENT = Binned(
    (*_BINS, 3.75),
    (
        (10.83, -1.30, 0.098, -0.39, 1.58),
        (10.83, -1.46, 0.012, -0.21, 1.44),
        (10.75, -0.07, 1.724),
        (10.56, 0.53, 0.757),
        (10.54, 0.93, 0.251),
        (10.69, 0.17, 0.068),
        (10.24, 1.15, 0.028),
        (10.10, 1.15, 0.010),
        (10.10, 1.15, 0.004),
    ),
)

_WEAVER2023_TOTAL = Binned(
    (*_BINS, 4.0, 5.0, 6.0, 7.0),
    (
        (10.89, -1.42, 0.73, -0.46, 1.09),
        (10.96, -1.39, 0.66, -0.61, 0.83),
        (11.02, -1.32, 0.84, -0.63, 0.66),
        (11.00, -1.33, 0.72, -0.51, 0.34),
        (10.86, -1.48, 0.29, -0.43, 0.64),
        (10.78, -1.46, 0.27, 0.07, 0.27),
        (10.97, -1.46, 0.24),
        (10.83, -1.46, 0.21),
        (10.46, -1.46, 0.20),
        (10.30, -1.46, 0.14),
        (10.14, -1.46, 0.06),
        (10.18, -1.46, 0.03),
    ),
)
# Share of the quiescent: the ratio of the authors' points for quiescent and for all galaxies. Below the mass limit of a
# bin the value at the limit is repeated. Points above 10^11.5 Msun are left out: they rest on a few galaxies.
_WEAVER2023_SHARE = Grid(
    np.array([*_BINS, 4.0, 5.0]),
    np.arange(8.625, 11.5, 0.25),
    np.array(
        [
            (0.0929, 0.0999, 0.1045, 0.1177, 0.1534, 0.2181, 0.2663, 0.3141, 0.4375, 0.4805, 0.6074, 0.6512),
            (0.0727, 0.0633, 0.0606, 0.0682, 0.0865, 0.1643, 0.2413, 0.3385, 0.3882, 0.4717, 0.5889, 0.6923),
            (0.0458, 0.0458, 0.0517, 0.0618, 0.0775, 0.1399, 0.2398, 0.3463, 0.3972, 0.4477, 0.4860, 0.6037),
            (0.0179, 0.0179, 0.0179, 0.0173, 0.0268, 0.0628, 0.1309, 0.2259, 0.3192, 0.3824, 0.3874, 0.2863),
            (0.0054, 0.0054, 0.0054, 0.0054, 0.0092, 0.0375, 0.1119, 0.2078, 0.2687, 0.2851, 0.2693, 0.2995),
            (0.0035, 0.0035, 0.0035, 0.0035, 0.0035, 0.0135, 0.0454, 0.1241, 0.1713, 0.2167, 0.2067, 0.1961),
            (0.0046, 0.0046, 0.0046, 0.0046, 0.0046, 0.0046, 0.0328, 0.0925, 0.1826, 0.2339, 0.2103, 0.2000),
            (0.0009, 0.0009, 0.0009, 0.0009, 0.0009, 0.0009, 0.0138, 0.0627, 0.1086, 0.2159, 0.1677, 0.2800),
            (0.0078, 0.0078, 0.0078, 0.0078, 0.0078, 0.0078, 0.0078, 0.0540, 0.1536, 0.2487, 0.3254, 0.2917),
            (0.0125, 0.0125, 0.0125, 0.0125, 0.0125, 0.0125, 0.0125, 0.0179, 0.0440, 0.1860, 0.3696, 0.2692),
        ]
    ),
)


@dataclass(frozen=True)
class MassFunctions:
    """Published mass functions of star-forming and of quiescent galaxies.

    Attributes
    ----------
    paper, doi : str
        Their source.
    star_forming, quiescent : callable
        log10 Phi [Mpc^-3 dex^-1] as a function of log10 of the stellar mass [Msun] and of redshift.
    note : str
        What else a user should know, such as where they were measured.

    """

    paper: str
    doi: str
    star_forming: LogPhi
    quiescent: LogPhi
    note: str = ""


MASS_FUNCTIONS = {
    "williams2018": MassFunctions(
        "Williams et al. (2018), refitted to their curves", "10.3847/1538-4365/aabcbb",
        log_phi_star_forming, log_phi_quiescent,
        note="Galaxies above 10^10.5 Msun are mostly quiescent from z = 2.5 on, and all from z = 5 on.",
    ),
    "davidzon2017": MassFunctions(
        "Davidzon et al. (2017), table 2", "10.1051/0004-6361/201730419",
        _DAVIDZON2017_STAR_FORMING, _DAVIDZON2017_QUIESCENT,
        note="Measured at 0.2 < z < 6, the quiescent at z < 4.",
    ),
    "weaver2023": MassFunctions(
        "Weaver et al. (2023), fits to all galaxies, divided as their points are", "10.1051/0004-6361/202245581",
        Divided(_WEAVER2023_TOTAL, _WEAVER2023_SHARE, quiescent=False),
        Divided(_WEAVER2023_TOTAL, _WEAVER2023_SHARE, quiescent=True),
        note="Measured at 0.2 < z < 7.5, the share of the quiescent at z < 5.5; it is held beyond the points.",
    ),
}  # fmt: skip
"""Mass functions by their name in the config (``galaxies.mass_functions``)."""

DEFAULT = "williams2018"
"""Name of the mass functions that are used unless the config names others."""


def quiescent_fraction(log_mstar: ArrayLike, redshift: ArrayLike, name: str = DEFAULT) -> Array:
    """Return the fraction of galaxies that are quiescent, Phi_Q / (Phi_Q + Phi_SF).

    Parameters
    ----------
    log_mstar : array_like
        log10 of the stellar mass [Msun].
    redshift : array_like
        Redshift >= 0; broadcasts with ``log_mstar``.
    name : str
        Key of `MASS_FUNCTIONS`.

    Returns
    -------
    ndarray of the broadcast shape
        Fraction between 0 and 1.

    """
    functions = MASS_FUNCTIONS[name]
    log_ratio = functions.quiescent(log_mstar, redshift) - functions.star_forming(log_mstar, redshift)
    return expit(_LN10 * log_ratio)  # the ratio itself may overflow


def draw_quiescent(fraction: Array, galaxy_id: NDArray[np.int64], seed: int, realisation: int = 0) -> NDArray[np.bool_]:
    """Draw which galaxies are quiescent.

    Each draw depends only on the galaxy's id, its probability, the seed of the run and the index of the realisation.

    Parameters
    ----------
    fraction : ndarray of shape (n, )
        Probability that each galaxy is quiescent.
    galaxy_id : ndarray of int64 of shape (n, )
        Identifiers of the galaxies.
    seed : int
        Seed of the run.
    realisation : int
        Index of the realisation.

    Returns
    -------
    ndarray of bool of shape (n, )

    """
    return uniforms(seed, Stage.CLASS, galaxy_id, 1, realisation=realisation)[:, 0] < fraction
