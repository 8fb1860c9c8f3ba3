"""Galaxies of a light cone, drawn from mass functions of the literature, without clustering.

The number of galaxies per redshift, mass and class is tabulated on a grid of redshifts and is linear in redshift
between its nodes. Such a density is a sum of hat functions (triangles), one for each node, with the distribution of
classes and masses at that node. A galaxy therefore draws a node, then its redshift from the hat of that node, and its
class and mass from the mass functions there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mocksed import rng
from mocksed.cosmology import Cosmology, comoving_volume
from mocksed.errors import UserError
from mocksed.galaxies.mass_functions import DEFAULT, MASS_FUNCTIONS, draw_quiescent
from mocksed.realisations import COLUMN, column_needed

Array = NDArray[np.float64]

FULL_SKY_DEG2 = 4.0 * np.pi * np.degrees(1.0) ** 2
"""Solid angle of the sphere [deg^2], 41 252.96."""
REDSHIFTS = (0.0, 20.0)
"""Lowest and highest redshift that a light cone may have."""
LOG_MSTARS = (4.0, 13.5)
"""log10 of the lowest and highest stellar mass [Msun] that a light cone may have."""

_STEP = 0.01  # of the grids, in redshift and in dex: counts by the trapezoid rule are then good to 1e-4
_MIN_STEPS = 50  # of a grid, however narrow its limits are
_N_DRAWS = 5  # random numbers of a galaxy: node, redshift, class and mass, ra, sin(dec)
_ID_OF_COUNT = np.array([-1])  # no galaxy has this id, so that its random number is free for the number of galaxies


class LightCone:
    """A light cone: its number of galaxies, its area, and the properties of each galaxy.

    Parameters
    ----------
    cosmo : Cosmology
        Cosmology for the comoving volumes.
    redshift, log_mstar : tuple of float
        Limits of the redshift and of log10 of the stellar mass [Msun].
    n_galaxies : int or None
        Number of galaxies, from which the area follows. If None, it is drawn from the Poisson distribution whose mean
        is the number expected in ``area_deg2``.
    area_deg2 : float
        Solid angle [deg^2]; only used where ``n_galaxies`` is None.
    centre : tuple of float
        Right ascension and declination of the centre [deg].
    seed : int
        Seed of the run.
    mass_functions : str
        Key of `mocksed.galaxies.mass_functions.MASS_FUNCTIONS`: those from which the galaxies are drawn.

    Attributes
    ----------
    n_galaxies : int
        Number of galaxies.
    area_deg2 : float
        Solid angle [deg^2].
    expected_per_deg2 : float
        Expected number of galaxies per deg^2.

    Raises
    ------
    UserError
        If limits, centre or area are out of order or out of range, if ``n_galaxies`` is more than the full sky holds,
        or if the drawn number of galaxies is 0.

    """

    def __init__(
        self,
        *,
        cosmo: Cosmology,
        redshift: tuple[float, float] = (0.0, 12.0),
        log_mstar: tuple[float, float] = (8.0, 12.5),
        n_galaxies: int | None = None,
        area_deg2: float = 0.01,
        centre: tuple[float, float] = (150.1, 2.2),
        seed: int = 42,
        mass_functions: str = DEFAULT,
    ) -> None:
        _check_limits("redshift", redshift, REDSHIFTS)
        _check_limits("log_mstar", log_mstar, LOG_MSTARS)
        if not (np.isfinite(centre[0]) and -90.0 <= centre[1] <= 90.0):
            raise UserError(
                f"galaxies.lightcone.centre is {list(centre)}: expected right ascension and declination [deg], the "
                "declination between -90 and 90."
            )
        self.redshift, self.log_mstar, self.centre, self.seed = redshift, log_mstar, centre, seed
        self._z, self._mass = _grid(redshift), _grid(log_mstar)
        functions = MASS_FUNCTIONS[mass_functions]
        log_phis = (functions.star_forming, functions.quiescent)
        phi = np.stack([10.0 ** log_phi(self._mass, self._z[:, None]) for log_phi in log_phis], axis=1)
        # number per Mpc^3 in each cell of mass, shape (n_node, n_class, n_cell)
        in_cells = 0.5 * (phi[..., 1:] + phi[..., :-1]) * np.diff(self._mass)
        per_volume = in_cells.sum(axis=(1, 2))
        volume = comoving_volume(cosmo, self._z) * np.radians(1.0) ** 2  # [Mpc^3 / deg^2 / redshift]
        hat = np.full(self._z.shape, self._z[1] - self._z[0])
        hat[[0, -1]] *= 0.5  # only one side of these hats is within the limits
        per_node = volume * per_volume * hat
        self.expected_per_deg2 = float(per_node.sum())
        self.n_galaxies, self.area_deg2 = self._count_and_area(n_galaxies, area_deg2)
        self._in_cells = in_cells
        self._node_cdf = _cdf(per_node[None])[0]
        # The cdf of node i runs from i to i + 1, so that one search in a flat increasing array serves all nodes.
        self._cell_cdf = _cdf(in_cells.reshape(len(self._z), -1)) + np.arange(len(self._z))[:, None]

    @classmethod
    def from_config(
        cls, lightcone: Mapping[str, Any], cosmo: Cosmology, seed: int, mass_functions: str = DEFAULT
    ) -> "LightCone":
        """Return the light cone of the config's ``galaxies.lightcone`` and ``galaxies.mass_functions``."""
        return cls(
            cosmo=cosmo,
            redshift=tuple(lightcone["redshift"]),
            log_mstar=tuple(lightcone["log_mstar"]),
            n_galaxies=lightcone["n_galaxies"],
            area_deg2=lightcone["area"],
            centre=tuple(lightcone["centre"]),
            seed=seed,
            mass_functions=mass_functions,
        )

    def _count_and_area(self, n_galaxies: int | None, area_deg2: float) -> tuple[int, float]:
        """Return the number of galaxies and the solid angle [deg^2]: the one that is given and the other from it."""
        if n_galaxies is None:
            if not 0.0 < area_deg2 <= FULL_SKY_DEG2:
                raise UserError(
                    f"galaxies.lightcone.area is {area_deg2}: expected at most the full sky, 41252.96 deg^2."
                )
            expected = area_deg2 * self.expected_per_deg2
            uniform = rng.uniforms(self.seed, rng.Stage.LIGHTCONE, _ID_OF_COUNT, 1)[0, 0]
            n_galaxies = _poisson(uniform, expected)
            if n_galaxies == 0:
                raise UserError(
                    f"the light cone is empty: {expected:.3g} galaxies are expected in {area_deg2} deg^2 with redshift "
                    f"{list(self.redshift)} and log_mstar {list(self.log_mstar)}. Enlarge galaxies.lightcone.area or "
                    "its limits."
                )
        elif n_galaxies > FULL_SKY_DEG2 * self.expected_per_deg2:
            raise UserError(
                f"galaxies.lightcone.n_galaxies is {n_galaxies}, but the full sky (41252.96 deg^2) holds "
                f"{FULL_SKY_DEG2 * self.expected_per_deg2:.4g} galaxies with redshift {list(self.redshift)} and "
                f"log_mstar {list(self.log_mstar)}. Ask for fewer or widen the limits."
            )
        else:
            area_deg2 = n_galaxies / self.expected_per_deg2
        return n_galaxies, float(area_deg2)

    def draw(self, start: int, stop: int, realisations: Sequence[int] = (0,)) -> dict[str, NDArray]:
        """Return the galaxies with ids start, ..., stop - 1, in each of the realisations one after the other.

        A galaxy depends only on the seed of the run and its id, so that any division into shards gives the same bytes.
        Only its class depends on the realisation.

        Parameters
        ----------
        start, stop : int
            Rows of the catalogue, 0 <= start <= stop <= n_galaxies.
        realisations : sequence of int
            Indices of the realisations.

        Returns
        -------
        dict of str to ndarray of shape (len(realisations) * (stop - start), )
            ``galaxy_id`` (the row), ``realisation`` unless it is 0 alone, ``redshift``, ``log_mstar``
            [log10 Msun], ``quiescent``, ``ra`` and ``dec`` [deg].

        """
        ids = np.arange(start, stop, dtype=np.int64)
        u_node, u_redshift, u_mass, u_ra, u_dec = rng.uniforms(self.seed, rng.Stage.LIGHTCONE, ids, _N_DRAWS).T
        node = np.searchsorted(self._node_cdf, u_node, side="right") - 1
        quiescent, log_mstar, cell = self._draw_class_and_mass(node, u_mass)
        ra, dec = draw_positions(self.centre, self.area_deg2, u_ra, u_dec)
        galaxies = {
            "galaxy_id": ids,
            "redshift": self._draw_redshift(node, u_redshift),
            "log_mstar": log_mstar,
            "quiescent": quiescent,
            "ra": ra,
            "dec": dec,
        }
        if not column_needed(realisations):
            return galaxies
        # Classes drawn for the redshift and mass of each galaxy leave every realisation with the same mass functions.
        densities = self._in_cells[node, :, cell]  # star-forming, quiescent
        fraction = densities[:, 1] / np.maximum(densities.sum(axis=1), 1e-300)  # quiescent
        classes = [draw_quiescent(fraction, ids, self.seed, index) if index else quiescent for index in realisations]
        repeated = {name: np.tile(values, len(classes)) for name, values in galaxies.items()}
        new_columns = {COLUMN: np.repeat(realisations, len(ids)), "quiescent": np.concatenate(classes)}
        return {"galaxy_id": repeated["galaxy_id"], COLUMN: new_columns[COLUMN]} | repeated | new_columns

    def _draw_redshift(self, node: NDArray[np.int64], uniform: Array) -> Array:
        """Return redshifts drawn from the hat functions of the nodes, shape (n, ).

        The inverse of a hat's cumulative distribution has one branch below the node and one above it. The first and the
        last node have only one of them.
        """
        p = np.where(node == 0, 0.5 * (1.0 + uniform), np.where(node == len(self._z) - 1, 0.5 * uniform, uniform))
        offset = np.where(p < 0.5, np.sqrt(2.0 * p) - 1.0, 1.0 - np.sqrt(2.0 * (1.0 - p)))  # in steps of the grid
        return np.clip(self._z[node] + offset * (self._z[1] - self._z[0]), *self.redshift)

    def _draw_class_and_mass(
        self, node: NDArray[np.int64], uniform: Array
    ) -> tuple[NDArray[np.bool_], Array, NDArray[np.int64]]:
        """Return whether each galaxy is quiescent, log10 of its mass [Msun] and its cell of mass, each of shape (n, ).

        One uniform deviate is enough for class and mass: the cumulative distribution of a node runs through the masses
        of star-forming galaxies and then through those of quiescent ones.
        """
        n_cells = len(self._mass) - 1
        flat, level = self._cell_cdf.ravel(), node + uniform
        index = np.searchsorted(flat, level, side="right") - 1
        # node + uniform may round to node + 1: stay within the node.
        index = np.minimum(index, node * self._cell_cdf.shape[1] + 2 * n_cells - 1)
        fraction = np.clip((level - flat[index]) / np.maximum(flat[index + 1] - flat[index], 1e-300), 0.0, 1.0)
        quiescent, cell = np.divmod(index - node * self._cell_cdf.shape[1], n_cells)
        log_mstar = self._mass[cell] + fraction * (self._mass[1] - self._mass[0])
        return quiescent.astype(bool), np.clip(log_mstar, *self.log_mstar), cell


def draw_positions(centre: tuple[float, float], area_deg2: float, u_ra: Array, u_dec: Array) -> tuple[Array, Array]:
    """Return positions that are uniform on a patch of the sphere.

    The patch lies between two meridians and two parallels and is as wide as high at its centre. A patch that would
    reach around the whole sky becomes a band between two parallels, and one that would reach over a pole is moved to
    end there: a centre at the pole gives a cap, and the area of the full sky the whole sphere. The solid angle is
    always exact, and the centre is always inside.

    Parameters
    ----------
    centre : tuple of float
        Right ascension and declination of the centre [deg].
    area_deg2 : float
        Solid angle [deg^2], at most that of the sphere.
    u_ra, u_dec : ndarray of shape (n, )
        Uniform deviates between 0 and 1.

    Returns
    -------
    ra, dec : ndarray of shape (n, )
        Right ascension, 0 <= ra < 360, and declination [deg].

    """
    solid_angle = min(area_deg2 / FULL_SKY_DEG2, 1.0) * 4.0 * np.pi
    ra_centre, dec_centre = np.radians(centre)
    side = np.sqrt(solid_angle)
    width = min(side / max(np.cos(dec_centre), 1e-12), 2.0 * np.pi)
    height = min(solid_angle / width, 2.0)  # in sin(dec): equal areas
    width = solid_angle / height
    lowest = np.clip(np.sin(dec_centre) - 0.5 * height, -1.0, 1.0 - height)  # in sin(dec)
    ra = np.mod(np.degrees(ra_centre + (u_ra - 0.5) * width), 360.0)
    ra[ra >= 360.0] = 0.0  # the remainder of a tiny negative number rounds to 360
    return ra, np.degrees(np.arcsin(np.clip(lowest + u_dec * height, -1.0, 1.0)))


def _poisson(uniform: float, expected: float) -> int:
    """Return the number at the cumulative probability ``uniform`` of the Poisson distribution of mean ``expected``."""
    from scipy.stats import poisson  # takes half a second to import, and few light cones need it

    if expected < 1e8:
        return int(poisson.ppf(uniform, expected))
    # the normal distribution, its limit: scipy's inverse fails for large means
    return round(expected + np.sqrt(expected) * ndtri(uniform))


def _check_limits(key: str, limits: tuple[float, float], allowed: tuple[float, float]) -> None:
    """Raise a UserError unless the limits of a key are in order and within the allowed ones."""
    if not allowed[0] <= limits[0] < limits[1] <= allowed[1]:
        raise UserError(
            f"galaxies.lightcone.{key} is {list(limits)}: expected a lower and a higher limit between {allowed[0]:g} "
            f"and {allowed[1]:g}."
        )


def _grid(limits: tuple[float, float]) -> Array:
    """Return evenly spaced nodes from limit to limit, at most `_STEP` apart and at least `_MIN_STEPS` + 1 of them."""
    n_steps = max(int(np.ceil((limits[1] - limits[0]) / _STEP)), _MIN_STEPS)
    return np.linspace(*limits, n_steps + 1)


def _cdf(weights: Array) -> Array:
    """Return the cumulative distribution of each row, from 0 to 1, with one more column; 0 if all weights are 0."""
    cumulative = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)
    total = cumulative[:, -1:]
    return np.divide(cumulative, total, out=np.zeros_like(cumulative), where=total > 0.0)
