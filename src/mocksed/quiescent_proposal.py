"""Where in age, metallicity and dust a quiescent galaxy of a given SFR can have colours in the UVJ box.

The colours at given sSFR do not depend on redshift or mass, which enter through the priors alone: the oldest age, the
mean metallicity. So they are tabulated once over sSFR, age, metallicity and dust. A cell of that table is possible if
any of its corners lies in the box or close to it; a draw from the prior restricted to the possible cells, accepted if
its own colours are in the box, is a draw from the prior restricted to the box, without its many rejections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.sps import TAU_RANGE
from mocksed.sps.weights import sfr_per_mass_formed

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]

SFR_TOLERANCE = 0.01
"""A history has an SFR if it is within this [dex]."""

_LOG_SSFR = np.arange(-15.0, -8.49, 0.125)  # 1/yr
_YOUNGEST, _N_AGE = 0.1, 64  # Gyr; 8 % apart
_N_ZMET = 12
_DUST2_STEP, _DUST2_MAX = 0.05, 3.0  # of the cells; beyond, colours are redder than any box of quiescent galaxies
_DUST2_NODES_STEP = 0.5  # between those that the colours are computed at: they are all but linear in dust2
_MAG_PER_DEX = 10.0  # an SFR that is missed counts more than any colour
_MARGIN = 0.03  # mag: about what colours change by within a cell


class Colours(NamedTuple):
    """Colours over sSFR, age and metallicity, at the tau that each sSFR takes.

    Attributes
    ----------
    log_ssfr, age, log_zmet, dust2 : ndarrays
        Nodes.
    uv, vj : ndarrays of shape (n_ssfr, n_age, n_zmet, n_dust2)
        Rest-frame colours [AB mag].
    missed : ndarray of shape (n_ssfr, n_age, n_zmet)
        By how much the sSFR is missed where no tau gives it [dex].
    mass_fraction : ndarray of shape (n_ssfr, n_age, n_zmet)
        Surviving mass per mass formed.

    """

    log_ssfr: Array
    age: Array
    log_zmet: Array
    dust2: Array
    uv: Array
    vj: Array
    missed: Array
    mass_fraction: Array


def colours(engine: Engine, dust2_range: tuple[float, float]) -> Colours:
    """Return the table of an engine between two values of dust2, in half a second."""
    oldest = 10.0 ** (engine.table.log_age[-1] - 9.0)
    ages = np.geomspace(_YOUNGEST, min(oldest, 20.0), _N_AGE)
    zmets = np.linspace(*engine.table.log_zmet_range, _N_ZMET)
    low, high = dust2_range
    dust2 = np.linspace(low, high, int(np.ceil((high - low) / _DUST2_NODES_STEP)) + 1)
    shape = (len(_LOG_SSFR), len(ages), len(zmets))
    log_ssfr, age, log_zmet = (x.ravel() for x in np.meshgrid(_LOG_SSFR, ages, zmets, indexing="ij"))
    tau = history(age, log_ssfr, log_zmet, np.full(len(age), 0.6), engine)
    derived = [engine.derived(age, tau, log_zmet, -4.0, depth, nebular=False) for depth in dust2]
    return Colours(
        _LOG_SSFR,
        ages,
        zmets,
        dust2,
        uv=np.stack([found.uv for found in derived], axis=-1).reshape(*shape, -1),
        vj=np.stack([found.vj for found in derived], axis=-1).reshape(*shape, -1),
        missed=missed_sfr(derived[0].log_ssfr, log_ssfr).reshape(shape),
        mass_fraction=derived[0].mass_fraction.reshape(shape),
    )


def history(age: Array, log_ssfr: Array, log_zmet: Array, mass_fraction: Array, engine: Engine) -> Array:
    """Return the tau [Gyr] that gives an sSFR [1/yr] at an age, from a guess of the surviving mass."""
    for _ in range(2):  # the surviving mass moves by a few per cent with tau, and the next time by nothing
        tau = solve_tau(age, mass_fraction * 10.0 ** (log_ssfr + 9.0), engine.model.sfh)
        mass_fraction = engine.derived(age, tau, log_zmet, -4.0, 0.0, nebular=False).mass_fraction
    return solve_tau(age, mass_fraction * 10.0 ** (log_ssfr + 9.0), engine.model.sfh)


def missed_sfr(log_ssfr: Array, wanted: Array) -> Array:
    """Return by how much an SFR is missed [dex], 0 within `SFR_TOLERANCE`."""
    return np.maximum(np.abs(log_ssfr - wanted) - SFR_TOLERANCE, 0.0)


def outside(uv: Array, vj: Array, box: Mapping[str, float]) -> Array:
    """Return how far colours lie outside the UVJ box [mag]: 0 inside it."""
    violations = (
        box["uv_min"] - uv,
        vj - box["vj_max"],
        (box["slope"] * vj + box["intercept"] - uv) / np.hypot(box["slope"], 1.0),
    )
    return np.sqrt(np.sum(np.square(np.maximum(violations, 0.0)), axis=0))


# The inverse of the SFR of a history


def solve_tau(age: Array, psi: Array, sfh: str = "delayed_tau") -> Array:
    """Return the tau [Gyr] at which a history has the SFR ``psi`` [1/Gyr] per mass formed at ``age`` [Gyr].

    At a given age the SFR rises with tau, for delayed tau towards 2 / age; where the requested one is out of reach
    within `TAU_RANGE`, the nearer limit is returned. An SFR that does not depend on tau gives either limit.
    """
    if sfh == "constant":
        return np.where(sfr_per_mass_formed(sfh, age, 1.0) > psi, *TAU_RANGE)
    with np.errstate(divide="ignore"):
        ages_in_tau = _ages_in_tau(np.log(np.asarray(psi * age, np.float64)), 2 if sfh == "delayed_tau" else 1)
        return np.clip(age / ages_in_tau, *TAU_RANGE)


@numba.vectorize(["float64(float64, int64)"], cache=True)
def _ages_in_tau(log_rate: float, order: int) -> float:  # type: ignore[misc]
    """Return x = age / tau from ln(age x SFR per mass formed), 0 where that is more than any tau gives.

    That rate is x^k / (e^x - sum of the first k terms of its series), k = 2 for delayed tau and 1 for tau, and k! at
    x = 0. Its logarithm falls with x and is concave: Newton's steps arrive from above, wherever they begin.
    """
    if log_rate >= np.log(order):
        return 0.0
    if log_rate < -1e4:
        return -log_rate
    x = (order + 1) * (np.log(order) - log_rate)  # where the tangent at x = 0 gives the rate
    for _ in range(60):
        if x < 0.5:
            term, rest, slope = 1.0, 0.0, 0.0  # e^x less its first terms, over x^k; and the derivative of that
            for i in range(1, order + 1):
                term /= i
            for i in range(14):
                rest += term
                term *= 1.0 / (order + i + 1)
                slope += (i + 1) * term * x**i
                term *= x
            value, derivative = -np.log(rest), -slope / rest
        elif x < 600.0:
            rest = np.expm1(x) - (x if order == 2 else 0.0)
            value = order * np.log(x) - np.log(rest)
            derivative = order / x - (np.expm1(x) if order == 2 else np.exp(x)) / rest
        else:
            value, derivative = order * np.log(x) - x, order / x - 1.0
        step = (value - log_rate) / derivative
        x = max(x - step, 0.0)
        if abs(step) < 1e-13 * x + 1e-15:
            break
    return x


# Cells


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a table of colours, and which of them reach into the box.

    Attributes
    ----------
    table : Colours
        The colours.
    dust2 : ndarray of shape (n_dust2 + 1, )
        Edges of the cells in dust2; those in age and metallicity are nodes of the table.
    outside : ndarray of shape (n_ssfr, n_age, n_zmet, n_dust2 + 1)
        How far the corners lie outside the box [mag].

    """

    table: Colours
    dust2: Array
    outside: NDArray[np.float32]

    @classmethod
    def of(cls, table: Colours, box: Mapping[str, float]) -> Cells:
        """Return the cells of a table with respect to a box."""
        low, high = table.dust2[0], table.dust2[-1]
        dust2 = np.linspace(low, high, max(int(np.ceil((high - low) / _DUST2_STEP)), 1) + 1)
        distance = np.empty((*table.uv.shape[:3], len(dust2)), np.float32)
        for k, depth in enumerate(dust2):
            node = min(max(int(np.searchsorted(table.dust2, depth)), 1), len(table.dust2) - 1)
            if node == 0:
                uv, vj = table.uv[..., 0], table.vj[..., 0]
            else:
                part = (depth - table.dust2[node - 1]) / (table.dust2[node] - table.dust2[node - 1])
                uv, vj = ((1 - part) * c[..., node - 1] + part * c[..., node] for c in (table.uv, table.vj))
            distance[..., k] = outside(uv, vj, box)
        return cls(table, dust2, distance)

    def mass_fraction(self, log_ssfr: Array, age: Array, log_zmet: Array) -> Array:
        """Return the surviving mass per mass formed at the nearest nodes."""
        table = self.table
        at = (_nearest(nodes, x) for nodes, x in zip(table[:3], (log_ssfr, age, log_zmet), strict=True))
        return table.mass_fraction[tuple(at)]

    @cached_property
    def possible(self) -> NDArray[np.bool_]:
        """Cells that reach into the box, shape (n_ssfr - 1, n_age - 1, n_zmet - 1, n_dust2)."""
        nearest = np.where(self.table.missed[..., None] > 0.0, np.float32(np.inf), self.outside)
        for axis in range(4):
            n = nearest.shape[axis]
            nearest = np.minimum(nearest.take(range(n - 1), axis), nearest.take(range(1, n), axis))
        return nearest <= _MARGIN

    @cached_property
    def inside(self) -> Array:
        """Part of the corners that lie in the box at each sSFR, shape (n_ssfr, n_age - 1, n_zmet - 1, n_dust2)."""
        part = ((self.outside == 0.0) & (self.table.missed[..., None] == 0.0)).astype(np.float64)
        for axis in (1, 2, 3):
            n = part.shape[axis]
            part = 0.5 * (part.take(range(n - 1), axis) + part.take(range(1, n), axis))
        return part


class Reach:
    """What the priors of galaxies leave of the cells that reach into the box.

    Parameters
    ----------
    cells : Cells
        The cells.
    age, log_zmet : ndarrays of shapes (n, n_age), (n, n_zmet)
        Prior cumulative probabilities of the edges of the cells, of each galaxy.
    dust2 : ndarray of shape (n_dust2 + 1, )
        The same for dust2, of all.

    """

    def __init__(self, cells: Cells, age: Array, log_zmet: Array, dust2: Array) -> None:
        self.cells = cells
        self._age, self._zmet, self._dust2 = age, log_zmet, dust2
        self._in_age, self._in_zmet, self._in_dust2 = np.diff(age, axis=1), np.diff(log_zmet, axis=1), np.diff(dust2)
        self._possible = np.sum(cells.possible * self._in_dust2, axis=-1)  # by BLAS it may depend on the threads
        self._inside = np.sum(cells.inside * self._in_dust2, axis=-1)

    def probability(self, rows: NDArray[np.int64], node: ArrayLike, n_nodes: int) -> Array:
        """Return the prior probability of the box at sSFRs of the table, about, shape (len(rows), n_nodes).

        Parameters
        ----------
        rows : ndarray of int
            Galaxies.
        node : array_like of int, shape of ``rows`` or scalar
            First of the nodes in sSFR.
        n_nodes : int
            Number of them.

        """
        first = np.ascontiguousarray(np.broadcast_to(node, len(rows)), np.int64)
        out = np.empty((len(rows), n_nodes))
        _sum_cells(rows, self._in_age, self._in_zmet, self._inside, first, out)
        return out

    def cell_of(self, log_ssfr: Array) -> NDArray[np.int64]:
        """Return the cell of each sSFR, the lowest one also of those below the table."""
        nodes = self.cells.table.log_ssfr
        return np.clip(np.searchsorted(nodes, log_ssfr, side="right") - 1, 0, len(nodes) - 2)

    def draw(self, rows: NDArray[np.int64], log_ssfr: Array, uniform: Array) -> tuple[NDArray[np.int64], Array]:
        """Return a possible cell of each galaxy, drawn by its prior probability.

        Parameters
        ----------
        rows : ndarray of int
            Galaxies.
        log_ssfr : ndarray, shape of ``rows``
            Their sSFRs [1/yr].
        uniform : ndarray, shape of ``rows``
            Deviates between 0 and 1.

        Returns
        -------
        cell : ndarray of int of shape (len(rows), 3)
            Indices in age, metallicity and dust2.
        probability : ndarray, shape of ``rows``
            Prior probability of all possible cells; where it is 0, there is no cell.

        """
        cell, probability, rest = np.zeros((len(rows), 3), np.int64), np.zeros(len(rows)), np.zeros(len(rows))
        at = self.cell_of(log_ssfr)
        _draw_cell(rows, self._in_age, self._in_zmet, self._possible, at, uniform, cell, probability, rest)
        weights = np.cumsum(self.cells.possible[at, cell[:, 0], cell[:, 1]] * self._in_dust2, axis=1)
        cell[:, 2] = np.argmax(weights > rest[:, None] * weights[:, -1:], axis=1)
        probability[log_ssfr > self.cells.table.log_ssfr[-1]] = 0.0
        return cell, probability

    def limits(self, rows: NDArray[np.int64], cell: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return the cumulative probabilities of the lower and upper edges of cells, each of shape (len(rows), 3)."""
        i, j, k = cell.T
        low, high = (
            np.stack([self._age[rows, i + side], self._zmet[rows, j + side], self._dust2[k + side]], axis=1)
            for side in (0, 1)
        )
        return low, high

    def nearest(self, log_ssfr: Array, highest: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the corner nearest to SFR and box, shape (n, 3): indices in age, metallicity and dust2.

        Parameters
        ----------
        log_ssfr : ndarray of shape (n, )
            sSFRs [1/yr].
        highest : ndarray of int of shape (n, )
            Index of the highest age that is allowed.

        """
        nodes = self.cells.table.log_ssfr
        at = self.cell_of(log_ssfr)
        part = np.clip((log_ssfr - nodes[at]) / (nodes[at + 1] - nodes[at]), 0.0, 1.0)
        out = np.zeros((len(at), 3), np.int64)
        _nearest_corner(self.cells.outside, self.cells.table.missed, at, part, highest, out)
        return out


def _nearest(nodes: Array, values: Array) -> NDArray[np.int64]:
    return np.searchsorted(0.5 * (nodes[1:] + nodes[:-1]), values)


@numba.njit(cache=True)
def _sum_cells(rows, in_age, in_zmet, table, first, out) -> None:  # type: ignore[no-untyped-def]
    for m, g in enumerate(rows):
        for s in range(out.shape[1]):
            of_ssfr, total = table[first[m] + s], 0.0
            for i in range(in_age.shape[1]):
                if in_age[g, i] > 0.0:
                    row = 0.0
                    for j in range(in_zmet.shape[1]):
                        row += in_zmet[g, j] * of_ssfr[i, j]
                    total += in_age[g, i] * row
            out[m, s] = total


@numba.njit(cache=True)
def _draw_cell(  # type: ignore[no-untyped-def]
    rows, in_age, in_zmet, table, at, uniform, cell, probability, rest
) -> None:
    """Draw age and metallicity of a cell; ``rest`` is what the deviate leaves to draw within it."""
    sums = np.empty(in_age.shape[1])
    for m, g in enumerate(rows):
        of_ssfr, total = table[at[m]], 0.0
        for i in range(len(sums)):
            if in_age[g, i] > 0.0:
                row = 0.0
                for j in range(in_zmet.shape[1]):
                    row += in_zmet[g, j] * of_ssfr[i, j]
                total += in_age[g, i] * row
            sums[i] = total
        probability[m] = total
        if total == 0.0:
            continue
        wanted = uniform[m] * total
        i = min(np.searchsorted(sums, wanted, side="right"), len(sums) - 1)
        while i > 0 and sums[i] == sums[i - 1]:  # rounding, beyond the last one
            i -= 1
        wanted = (wanted - (sums[i - 1] if i > 0 else 0.0)) / in_age[g, i]
        part, last = 0.0, 0
        for j in range(in_zmet.shape[1]):
            part = in_zmet[g, j] * of_ssfr[i, j]
            if part > 0.0:
                last = j
                if wanted < part:
                    break
                wanted -= part
        part = in_zmet[g, last] * of_ssfr[i, last]
        cell[m, 0], cell[m, 1], rest[m] = i, last, min(max(wanted / part, 0.0), 1.0 - 1e-12)


@numba.njit(cache=True)
def _nearest_corner(outside, missed, at, part, highest, out) -> None:  # type: ignore[no-untyped-def]
    for m in range(len(at)):
        s, low, high, least = at[m], 1.0 - part[m], part[m], np.inf
        for i in range(highest[m] + 1):
            for j in range(outside.shape[2]):
                of_sfr = _MAG_PER_DEX * (low * missed[s, i, j] + high * missed[s + 1, i, j])
                for k in range(outside.shape[3]):
                    distance = of_sfr + low * outside[s, i, j, k] + high * outside[s + 1, i, j, k]
                    if distance < least:
                        least = distance
                        out[m, 0], out[m, 1], out[m, 2] = i, j, k
