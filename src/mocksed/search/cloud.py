"""The parent points of a class, and the search for those near the draws of galaxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mocksed.cosmology import Cosmology
from mocksed.relations import Relations
from mocksed.search.choice import Candidates, Prior
from mocksed.search.kdtree import KDTree, Nearest, find, order
from mocksed.search.metric import Metric
from mocksed.sps.model import DEFAULT_MODEL, Model

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """The settings of the search of a run.

    Attributes
    ----------
    method : str
        One of `mocksed.search.assign.METHODS`: with "choose" one point is taken, else all that were found are kept.
    k : int
        Points that are looked for.
    n_draws : int
        Draws of a star-forming galaxy of which they are the nearest, with the method "choose"; k is a multiple of it.
    allowed_ages_only : bool
        Whether points older than the universe are left out.
    seed : int
        Seed of the run.
    cosmo : Cosmology
        Cosmology that limits the ages.
    relations : Relations
        Of the run.
    prior : mapping of str to Prior
        Of each class.
    given : str
        How what the user's table gives is asked for, one of `mocksed.search.given.MODES`.
    model : Model
        Of the attenuation curve.

    """

    method: str
    k: int
    n_draws: int
    allowed_ages_only: bool
    seed: int
    cosmo: Cosmology
    relations: Relations
    prior: Mapping[str, Prior]
    given: str = "exact"
    model: Model = DEFAULT_MODEL

    def draws(self, kind: str) -> int:
        """Return how many draws a galaxy of a class has."""
        return self.n_draws if self.method == "choose" and kind == "star_forming" else 1


@dataclass(frozen=True)
class Cloud:
    """The parent points of a class, as the search sees them.

    Attributes
    ----------
    kind : str
        "star_forming" or "quiescent".
    trees : sequence of KDTree
        Its tree shards, in the order of their rows.
    metric : Metric
        Of their coordinates.

    """

    kind: str
    trees: Sequence[KDTree]
    metric: Metric

    @property
    def n_points(self) -> int:
        """Their number."""
        return sum(tree.n_points for tree in self.trees)

    def targets(self, draws: Sequence[Mapping[str, Array]], log_mstar: Array, redshift: Array) -> NDArray[np.float32]:
        """Return the coordinates of draws of galaxies, shape (n, n_draws, n_quantity), as `nearest` wants them.

        Parameters
        ----------
        asked : sequence of mappings of str to ndarray of shape (n, )
            Of each draw, what `mocksed.search.draw` returns.
        log_mstar, redshift : ndarrays of shape (n, )
            log10 of the masses [Msun] and redshifts.

        """
        of_galaxy = {"log_mstar": log_mstar, "redshift": redshift}
        return np.stack([self.metric.coordinates({**drawn, **of_galaxy}) for drawn in draws], axis=1)

    def nearest(self, targets: NDArray[np.float32], k: int, age_max: Array) -> Nearest:
        """Return the points nearest to the draws among those that are not older than their limits.

        Parameters
        ----------
        targets : ndarray of shape (n, n_draws, n_quantity)
            Coordinates of the draws of each galaxy (`mocksed.search.metric.Metric.coordinates`).
        k : int
            How many are wanted of each draw.
        age_max : ndarray of shape (n, )
            Oldest age allowed [Gyr].

        Returns
        -------
        Nearest
            The points, those of one draw after those of another, in arrays of shape (n, n_draws * k); where there are
            fewer, they have an infinite distance. ``n_found`` has the shape (n, n_draws), and is 0 where no point is
            young enough: there, the youngest of all is the first one.

        """
        n, n_draws, n_quantity = targets.shape
        flat = targets.reshape(-1, n_quantity)
        beside = order(flat).astype(np.int64)  # neighbours one after the other: they find leaves still in the cache
        nearest = find(self.trees, flat[beside], k, np.repeat(age_max, n_draws)[beside])
        back = np.empty_like(beside)
        back[beside] = np.arange(len(beside))
        nearest = nearest.take(back)
        nearest.distance[np.arange(k) >= nearest.n_found[:, None]] = np.inf
        self._use_youngest(flat, nearest)
        shape = (n, n_draws * k)
        return Nearest(
            nearest.rows.reshape(shape), nearest.distance.reshape(shape), nearest.place.reshape(shape),
            nearest.n_found.reshape(n, n_draws),
        )  # fmt: skip

    def _use_youngest(self, targets: NDArray[np.float32], nearest: Nearest) -> None:
        none = np.flatnonzero(nearest.n_found == 0)
        if not len(none):
            return
        (_, row, place), tree = min(((tree.youngest(), tree) for tree in self.trees), key=lambda pair: pair[0])
        point = tree.carried(np.array([place], np.uint32))[0, : tree.n_quantity].astype(np.float64)
        nearest.rows[none, 0], nearest.place[none, 0] = row, place
        nearest.distance[none, 0] = np.sqrt(np.square(targets[none].astype(np.float64) - point).sum(axis=1))

    def candidates(self, nearest: Nearest, log_mstar: Array) -> Candidates:
        """Return the quantities of the points found at the masses of galaxies, log10 [Msun], shape (n, )."""
        names = (*self.metric.scales, "age", *self.metric.payload)
        values = np.full((*nearest.rows.shape, len(names)), np.nan, np.float32)
        bounds = np.cumsum([0, *(tree.n_points for tree in self.trees)])
        for tree, (first, last) in zip(self.trees, pairwise(bounds), strict=True):
            in_tree = (nearest.rows >= first) & (nearest.rows < last) if len(self.trees) > 1 else np.s_[:]
            values[in_tree] = tree.carried(nearest.place[in_tree])
            if len(self.trees) > 1:
                tree.release()
        scales = self.metric.scales | dict.fromkeys(("age", *self.metric.payload), 1.0)
        quantities = {name: np.multiply(values[..., i], scales[name], dtype=np.float64) for i, name in enumerate(names)}
        nothing = np.empty((0, 0))
        return Candidates(
            distance=nearest.distance,
            age=quantities["age"],
            log_sfr=quantities["log_ssfr"] + log_mstar[:, None],
            log_zmet=quantities["log_zmet"],
            beta=quantities.get("beta", nothing),
            muv=quantities["muv_per_mass"] - 2.5 * log_mstar[:, None] if "muv_per_mass" in quantities else nothing,
            dust_index=quantities.get("dust_index", nothing),
            dust2=quantities.get("dust2"),
        )
