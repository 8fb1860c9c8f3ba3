"""The parent points nearest to each proposal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pykdtree.kdtree import KDTree

from mocksed.jobs import Progress
from mocksed.relations import Relations

Array = NDArray[np.float64]

_SCATTER = Relations()

_MADE_OF = {
    "log_ssfr": ("log_sfr", "log_mstar"),
    "muv_per_mass": ("muv", "log_mstar"),
    "scale_factor": ("redshift",),
    "log_tau": ("tau",),
}


@dataclass(frozen=True)
class Metric:
    """A Euclidean metric over quantities divided by scales.

    Attributes
    ----------
    scales : dict of str to float
        Quantity (see `quantity`) to the difference that counts as 1.
    nuisance : dict of str to float
        Quantities that no relation constrains: used in the search, to keep the neighbours of a galaxy on one branch of
        a degeneracy, but not part of the distance between proposal and result.

    """

    scales: dict[str, float]
    nuisance: dict[str, float] = field(default_factory=dict)

    @property
    def n_quantities(self) -> int:
        """Number of coordinates."""
        return len(self.scales) + len(self.nuisance)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the catalogue from which the coordinates follow."""
        needed = (_MADE_OF.get(name, (name,)) for name in self.scales | self.nuisance)
        return tuple(dict.fromkeys(column for columns in needed for column in columns))

    def coordinates(self, columns: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """Return the coordinates of points or proposals, shape (n, n_quantity)."""
        axes = [quantity(name, columns) / scale for name, scale in (self.scales | self.nuisance).items()]
        return np.stack(axes, axis=1).astype(np.float32)

    def distance(self, one: Mapping[str, NDArray], other: Mapping[str, NDArray]) -> Array:
        """Return the distance between the rows of two sets of columns, shape (n, )."""
        difference = [(quantity(name, one) - quantity(name, other)) / scale for name, scale in self.scales.items()]
        return np.sqrt(np.sum(np.square(difference), axis=0))


METRICS: dict[str, Metric] = {
    # Spectra scale with mass and redshift enters through the allowed age alone: neither is a coordinate. The
    # ionisation parameter hardly moves the rest and is taken as proposed. Scales: the scatter of the relations. Age and
    # tau are degenerate, and averaging across the degeneracy moves a galaxy off its SFR and M_UV: each galaxy draws a
    # tau of its own and its neighbours are those of about this tau.
    "default": Metric(
        scales={
            "log_ssfr": _SCATTER.log_sfr_star_forming.scale,
            "muv_per_mass": _SCATTER.muv.scale,
            "beta": _SCATTER.beta.scale,
            "log_zmet": _SCATTER.log_zmet.scale,
        },
        nuisance={"log_tau": 1.0},
    ),
    "drakos2021a": Metric(
        {"redshift": 12.0, "log_mstar": 12.0, "log_sfr": 4.0, "log_zmet": 2.0, "log_us": 4.0, "muv": 30.0, "beta": 3.0}
    ),
    "drakos2021b": Metric(
        {"log_mstar": 1.0, "scale_factor": 1.0, "log_zmet": 1.0, "log_ssfr": 1.0, "muv": 1.0, "beta": 1.0}
    ),
}
"""Metric presets; April and May 2021: Drakos et al. (2022)."""


def quantity(name: str, columns: Mapping[str, NDArray]) -> Array:
    """Return a coordinate from the columns of the catalogue.

    ``log_ssfr`` is log10 of the SFR per mass [1/yr], ``muv_per_mass`` M_UV + 2.5 log10 of the mass, ``scale_factor``
    1 / (1 + z), ``log_tau`` log10 of tau [Gyr]; others are columns themselves.
    """
    if name == "log_ssfr":
        return columns["log_sfr"] - columns["log_mstar"]
    if name == "muv_per_mass":
        return columns["muv"] + 2.5 * columns["log_mstar"]
    if name == "scale_factor":
        return 1.0 / (1.0 + columns["redshift"])
    if name == "log_tau":
        return np.log10(columns["tau"])
    return np.asarray(columns[name])


class Neighbours:
    """Search among parent points.

    Parameters
    ----------
    points : ndarray of shape (n, n_quantity)
        Coordinates in the metric.
    age : ndarray of shape (n, )
        Ages of the points [Gyr].

    """

    def __init__(self, points: NDArray[np.float32], age: NDArray) -> None:
        self._points = np.ascontiguousarray(points, np.float32)
        self._age = np.asarray(age)
        self._tree = KDTree(self._points)

    def nearest(self, targets: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], Array]:
        """Return the ``k`` nearest points: rows and distances, shapes (n, k), ordered by (distance, row).

        If there are fewer than ``k`` points, the columns are as many as there are points.
        """
        k = min(k, len(self._points))
        _, rows = self._tree.query(np.ascontiguousarray(targets, np.float32), k=k)
        rows = rows.reshape(len(targets), k).astype(np.int64)
        distance = _distance(targets[:, None, :], self._points[rows])
        order = np.lexsort((rows, distance))
        return np.take_along_axis(rows, order, 1), np.take_along_axis(distance, order, 1)

    def nearest_allowed(
        self, targets: NDArray[np.float32], k: int, age_max: Array, progress: Progress | None = None
    ) -> tuple[NDArray[np.int64], Array, NDArray[np.bool_]]:
        """Return the ``k`` nearest points that are younger than the limit of each target.

        The search is widened for targets that do not find enough of them; for the last few, it goes over every point.

        Parameters
        ----------
        targets : ndarray of shape (n, n_quantity)
            Coordinates of the proposals.
        k : int
            Number of neighbours.
        age_max : ndarray of shape (n, )
            Oldest age allowed [Gyr].
        progress : Progress, optional
            Told of the targets that are done.

        Returns
        -------
        rows, distance : ndarrays of shape (n, k)
            Ordered by (distance, row). Where fewer than k points are allowed, the last one is repeated; k is the number
            of points if that is smaller.
        found : ndarray of shape (n, )
            False where no point is allowed: rows are then the youngest point.

        """
        k = min(k, len(self._points))
        rows, distance = np.empty((len(targets), k), np.int64), np.empty((len(targets), k))
        found = np.ones(len(targets), bool)
        left = np.arange(len(targets))
        for width in (factor * k for factor in _WIDENING if factor * k < len(self._points)):
            step = max(1, _MAX_CANDIDATES // width)
            unfinished = [left[:0]]
            for part in (left[i : i + step] for i in range(0, len(left), step)):
                candidate, separation = self.nearest(targets[part], width)
                allowed = self._age[candidate] <= age_max[part, None]
                done = allowed.sum(axis=1) >= k
                order = np.argsort(~allowed[done], axis=1, kind="stable")[:, :k]
                rows[part[done]] = np.take_along_axis(candidate[done], order, 1)
                distance[part[done]] = np.take_along_axis(separation[done], order, 1)
                unfinished.append(part[~done])
                if progress:
                    progress.update(int(done.sum()))
            left = np.concatenate(unfinished)
        for i in left:
            rows[i], distance[i], found[i] = self._search_allowed(targets[i], k, age_max[i])
            if progress:
                progress.update(1)
        return rows, distance, found

    def _search_allowed(
        self, target: NDArray[np.float32], k: int, age_max: float
    ) -> tuple[NDArray[np.int64], Array, bool]:
        """Look at every allowed point: what is left to do where a tree offers almost none of them."""
        allowed = np.flatnonzero(self._age <= age_max)
        found = len(allowed) > 0
        if not found:
            allowed = np.array([np.argmin(self._age)])
        distance = _distance(target, self._points[allowed])
        nearest = np.lexsort((allowed, distance))[:k]
        nearest = nearest[np.minimum(np.arange(k), len(nearest) - 1)]
        return allowed[nearest], distance[nearest], found


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> Array:
    """Return Euclidean distances over the last axis of arrays that broadcast, summed in double precision."""
    difference = other.astype(np.float64) - one.astype(np.float64)
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", difference, difference)))


_WIDENING = (4, 16, 64)  # candidates per neighbour wanted; further, a tree is slower than looking at every point
_MAX_CANDIDATES = 20_000_000  # held at once while a search is widened
