"""Galaxies of a light cone, drawn from mass functions of the literature, without clustering.

The number of galaxies per redshift, mass and class is tabulated on a grid of redshifts and taken as linear in redshift
between its nodes. Such a density is a sum of hat functions, one for each node, each with the masses of that node: a
galaxy draws its node, its redshift from the hat of the node, and its class and mass from the mass functions there.
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
"""Redshifts that the mass functions can be asked for."""
LOG_MSTARS = (4.0, 13.5)
"""log10 of the masses [Msun] that the mass functions can be asked for."""

_STEP = 0.01  # of the grid, in redshift and dex: the trapezoid rule is then good to 1e-4 of the counts
_MIN_STEPS = 50
_N_DRAWS = 5  # node, redshift, class and mass, ra, sin(dec)
_ID_OF_COUNT = np.array([-1])  # no galaxy has this id: its stream draws their number


class LightCone:
    """A light cone: its number of galaxies, its area, and the properties of each galaxy.

    Parameters
    ----------
    cosmo : Cosmology
        Cosmology of the volumes.
    redshift, log_mstar : tuple of float
        Limits of the redshift and of log10 of the stellar mass [Msun].
    n_galaxies : int or None
        Number of galaxies, from which the area follows; None draws it from a Poisson distribution for ``area_deg2``.
    area_deg2 : float
        Solid angle [deg^2]; only used where ``n_galaxies`` is None.
    centre : tuple of float
        Right ascension and declination of the centre [deg].
    seed : int
        Seed of the run.
    mass_functions : str
        Name of the `MASS_FUNCTIONS` from which they are drawn.

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
        If limits are out of order or out of range, if the galaxies do not fit on the sky, or if none is drawn.

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
        of = MASS_FUNCTIONS[mass_functions]
        phi = np.stack([10.0 ** f(self._mass, self._z[:, None]) for f in (of.star_forming, of.quiescent)], axis=1)
        in_cells = 0.5 * (phi[..., 1:] + phi[..., :-1]) * np.diff(self._mass)  # (node, class, mass cell)
        per_volume = in_cells.sum(axis=(1, 2))
        volume = comoving_volume(cosmo, self._z) * np.radians(1.0) ** 2  # [Mpc^3 / deg^2]
        hat = np.full(self._z.shape, self._z[1] - self._z[0])
        hat[[0, -1]] *= 0.5
        per_node = volume * per_volume * hat
        self.expected_per_deg2 = float(per_node.sum())
        self.n_galaxies, self.area_deg2 = self._count_and_area(n_galaxies, area_deg2)
        self._in_cells = in_cells
        self._node_cdf = _cdf(per_node[None])[0]
        # One increasing array for all nodes: the cdf of node i runs from i to i + 1.
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
        """Return the number of galaxies and the solid angle [deg^2], one from the other."""
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

        Each depends on the seed and its id alone, so that any division into shards gives the same bytes; in which
        realisations it is quiescent, on their indices too.

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
        # the class given redshift and mass: with it each realisation has the mass functions that the first one has
        densities = self._in_cells[node, :, cell]
        fraction = densities[:, 1] / np.maximum(densities.sum(axis=1), 1e-300)
        classes = [draw_quiescent(fraction, ids, self.seed, index) if index else quiescent for index in realisations]
        repeated = {name: np.tile(values, len(classes)) for name, values in galaxies.items()}
        new_columns = {COLUMN: np.repeat(realisations, len(ids)), "quiescent": np.concatenate(classes)}
        return {"galaxy_id": repeated["galaxy_id"], COLUMN: new_columns[COLUMN]} | repeated | new_columns

    def _draw_redshift(self, node: NDArray[np.int64], uniform: Array) -> Array:
        """Return redshifts from the hat functions of the nodes; those at the limits have only one half."""
        half = np.where(node == 0, 0.5 * (1.0 + uniform), np.where(node == len(self._z) - 1, 0.5 * uniform, uniform))
        offset = np.where(half < 0.5, np.sqrt(2.0 * half) - 1.0, 1.0 - np.sqrt(2.0 * (1.0 - half)))
        return np.clip(self._z[node] + offset * (self._z[1] - self._z[0]), *self.redshift)

    def _draw_class_and_mass(
        self, node: NDArray[np.int64], uniform: Array
    ) -> tuple[NDArray[np.bool_], Array, NDArray[np.int64]]:
        """Return class and mass by inversion of the joint cdf of the node: star-forming masses, then quiescent.

        The third array are the cells of the masses.
        """
        n_cells = len(self._mass) - 1
        flat, level = self._cell_cdf.ravel(), node + uniform
        at = np.searchsorted(flat, level, side="right") - 1
        # node + uniform may round to node + 1: stay within the node.
        at = np.minimum(at, node * self._cell_cdf.shape[1] + 2 * n_cells - 1)
        part = np.clip((level - flat[at]) / np.maximum(flat[at + 1] - flat[at], 1e-300), 0.0, 1.0)
        quiescent, cell = np.divmod(at - node * self._cell_cdf.shape[1], n_cells)
        log_mstar = self._mass[cell] + part * (self._mass[1] - self._mass[0])
        return quiescent.astype(bool), np.clip(log_mstar, *self.log_mstar), cell


def draw_positions(centre: tuple[float, float], area_deg2: float, u_ra: Array, u_dec: Array) -> tuple[Array, Array]:
    """Return positions uniform on a patch of the sphere, from uniform deviates.

    The patch is limited by two meridians and two parallels and is as wide as high at its centre. Where it would reach
    over a pole or around the sky it becomes a band around it, moved to lie between the poles: a cap for a centre at
    the pole, the sphere for the full sky. Its solid angle is exact and the centre is always inside.

    Parameters
    ----------
    centre : tuple of float
        Right ascension and declination of the centre [deg].
    area_deg2 : float
        Solid angle [deg^2], at most that of the sphere.
    u_ra, u_dec : ndarray of shape (n, )
        Deviates between 0 and 1.

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
    lowest = np.clip(np.sin(dec_centre) - 0.5 * height, -1.0, 1.0 - height)
    ra = np.mod(np.degrees(ra_centre + (u_ra - 0.5) * width), 360.0)
    ra[ra >= 360.0] = 0.0  # the remainder of a tiny negative number rounds to 360
    return ra, np.degrees(np.arcsin(np.clip(lowest + u_dec * height, -1.0, 1.0)))


def _poisson(uniform: float, expected: float) -> int:
    """Return the number at a cumulative probability of the Poisson distribution."""
    from scipy.stats import poisson  # takes most of a second to import, and few light cones need it

    if expected < 1e8:
        return int(poisson.ppf(uniform, expected))
    return round(expected + np.sqrt(expected) * ndtri(uniform))  # its limit; scipy's inverse fails for large means


def _check_limits(key: str, limits: tuple[float, float], allowed: tuple[float, float]) -> None:
    """Raise a UserError unless the limits are in order and within the allowed ones."""
    if not allowed[0] <= limits[0] < limits[1] <= allowed[1]:
        raise UserError(
            f"galaxies.lightcone.{key} is {list(limits)}: expected a lower and a higher limit between {allowed[0]:g} "
            f"and {allowed[1]:g}."
        )


def _grid(limits: tuple[float, float]) -> Array:
    """Return an even grid from limit to limit."""
    n_steps = max(int(np.ceil((limits[1] - limits[0]) / _STEP)), _MIN_STEPS)
    return np.linspace(*limits, n_steps + 1)


def _cdf(weights: Array) -> Array:
    """Return the cumulative distribution of each row, from 0 to 1, one column longer; 0 where a row has no weight."""
    cumulative = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)
    total = cumulative[:, -1:]
    return np.divide(cumulative, total, out=np.zeros_like(cumulative), where=total > 0.0)
