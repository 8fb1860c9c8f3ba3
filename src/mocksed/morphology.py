"""Sizes and shapes of galaxies as single Sersic profiles, drawn from published relations (docs/morphology.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.cosmology import Cosmology, comoving_distance
from mocksed.errors import UserError
from mocksed.files.columns import MORPHOLOGY
from mocksed.relations.scatter import Gaussian
from mocksed.rng import Stage, uniforms

Array = NDArray[np.float64]

_NODES = (0.25, 0.75, 1.25, 1.75, 2.25, 2.75)  # middles of the bins of redshift of van der Wel et al.
_LOG_M_0 = float(np.log10(5e10))
_ARCSEC = np.pi / 180.0 / 3600.0


@dataclass(frozen=True)
class SizeRelation:
    """Half-light radii along the major axis at 5000 A in the rest frame, van der Wel et al. (2014), eq. 3 and table 1.

    log10 of the radius [kpc] is ``log_a + alpha log10(M / 5e10 Msun)`` with a normal scatter of ``sigma``. All three
    are linear in redshift between the middles of the bins of the paper. Beyond these the radii go as a power of 1 + z.

    Attributes
    ----------
    log_a, alpha, sigma : tuple of float
        Values of each bin of redshift.
    before, after : float
        Power of 1 + z below the first and above the last of the bins.
    least_log_mstar : float
        Below this mass [log10(Msun)] the radius is that at this mass.

    """

    log_a: tuple[float, ...]
    alpha: tuple[float, ...]
    sigma: tuple[float, ...]
    before: float
    after: float
    least_log_mstar: float = -np.inf

    def mean(self, log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
        """Return the mean of log10 of the radius [kpc], of the broadcast shape."""
        z = np.asarray(redshift, np.float64)
        within = np.clip(z, _NODES[0], _NODES[-1])
        power = np.where(z > within, self.after, self.before)
        relative = np.maximum(log_mstar, self.least_log_mstar) - _LOG_M_0
        at_node = np.interp(within, _NODES, self.log_a) + np.interp(within, _NODES, self.alpha) * relative
        return np.asarray(at_node + power * np.log10((1.0 + z) / (1.0 + within)))

    def scatter(self, redshift: ArrayLike) -> Array:
        """Return the standard deviation of log10 of the radius [dex], shape of ``redshift``."""
        return np.interp(np.asarray(redshift, np.float64), _NODES, self.sigma)


SIZES = {
    "star_forming": SizeRelation(
        log_a=(0.86, 0.78, 0.70, 0.65, 0.55, 0.51),
        alpha=(0.25, 0.22, 0.22, 0.23, 0.22, 0.18),
        sigma=(0.16, 0.16, 0.17, 0.18, 0.19, 0.19),
        before=-0.75,
        after=-1.20,  # Shibuya, Ouchi & Harikane (2015), at a given UV luminosity
    ),
    "quiescent": SizeRelation(
        log_a=(0.60, 0.42, 0.22, 0.09, -0.05, -0.06),
        alpha=(0.75, 0.71, 0.76, 0.76, 0.76, 0.79),
        sigma=(0.10, 0.11, 0.12, 0.14, 0.14, 0.14),
        before=-1.48,
        after=-1.48,
        least_log_mstar=float(np.log10(2e10)),  # the paper fits masses above it; extrapolated, dwarfs have 30 pc
    ),
}
"""Sizes of each class."""

LOG_SERSIC = {"star_forming": float(np.log10(1.25)), "quiescent": float(np.log10(3.5))}
"""Mean of log10 of the Sersic index: the middles of 1-1.5 and 3-4 (Martorano et al. 2023)."""

SERSIC_SCATTER = Gaussian(0.18, (float(np.log10(0.3)), float(np.log10(6.2))))
"""Scatter around it [dex] (Martorano et al. 2025), cut to the indices that GalSim draws."""

_AXIS_RATIOS = (0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0)
AXIS_RATIO_COUNTS = {
    "star_forming": (0, 0, 313, 900, 1143, 1127, 1059, 898, 775, 548, 318, 200),
    "quiescent": (0, 0, 165, 428, 773, 914, 1069, 1191, 1154, 1067, 639, 450),
}
"""Distributions of the axis ratio at 0, 0.05, 0.15 ... 0.95 and 1, linear between these (EGG, Schreiber et al. 2017):
of galaxies in CANDELS with n < 1.5 and above 1e9 Msun, and with n > 2.5 and above 10^10.5 Msun."""


def axis_ratio(kind: str, uniform: ArrayLike) -> Array:
    """Return the axis ratio at the cumulative probability ``uniform`` of the distribution of a class."""
    grid = np.linspace(0.0, 1.0, 2001)  # the points of the distribution are among these
    density = np.interp(grid, _AXIS_RATIOS, AXIS_RATIO_COUNTS[kind])
    cumulative = np.append(0.0, np.cumsum(density[1:] + density[:-1]))
    return np.interp(np.asarray(uniform, np.float64), cumulative / cumulative[-1], grid)


def shapes(
    galaxies: Mapping[str, NDArray], given: Mapping[str, NDArray], *, seed: int, cosmo: Cosmology
) -> dict[str, Array]:
    """Return the columns of sizes and shapes that the user's table does not give.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, ``log_mstar``, ``quiescent``, and ``realisation`` where there is one.
    given : mapping of str to ndarray of shape (n, )
        Those of `mocksed.files.columns.MORPHOLOGY` that the table has, NaN where a row lacks it. A radius follows
        from the other one and the axis ratio where one of them is given.
    seed : int
        The seed of the run.
    cosmo : Cosmology
        Cosmology of the angles.

    Returns
    -------
    dict of ndarrays of shape (n, )
        `mocksed.files.columns.MORPHOLOGY` without those given; ``re_maj`` is NaN at redshift 0.

    Raises
    ------
    UserError
        If a given value is impossible.

    """
    _check(galaxies["galaxy_id"], given)
    redshift = galaxies["redshift"]
    drawn = _draw(galaxies, seed)
    q = given.get("axis_ratio", drawn["axis_ratio"])
    with np.errstate(divide="ignore", invalid="ignore"):  # at redshift 0
        arcsec_per_kpc = (1.0 + redshift) / (1e3 * comoving_distance(cosmo, redshift)) / _ARCSEC
        if "re_maj" in given:
            major = given["re_maj"] / arcsec_per_kpc
        elif "re_circ" in given:
            major = given["re_circ"] / np.sqrt(q)
        else:
            major = drawn["re_maj"]
        angle = np.where(redshift > 0.0, major * arcsec_per_kpc, np.nan)
    columns = drawn | {"re_circ": major * np.sqrt(q), "re_maj": angle}
    return {name: columns[name] for name in MORPHOLOGY if name not in given}


def _draw(galaxies: Mapping[str, NDArray], seed: int) -> dict[str, Array]:
    """Return columns drawn from the relations, radii in kpc."""
    realisation = galaxies.get("realisation", 0)
    random = uniforms(seed, Stage.MORPHOLOGY, galaxies["galaxy_id"], 4, realisation=realisation)
    drawn = {name: np.empty(len(random)) for name in ("re_maj", "sersic_n", "axis_ratio")}
    for kind, relation in SIZES.items():
        rows = np.flatnonzero(galaxies["quiescent"] == (kind == "quiescent"))
        size, sersic, ratio, _ = random[rows].T
        redshift = galaxies["redshift"][rows]
        mean = relation.mean(galaxies["log_mstar"][rows], redshift)
        drawn["re_maj"][rows] = 10.0 ** Gaussian(relation.scatter(redshift)).draw(mean, size)  # type: ignore[arg-type]
        drawn["sersic_n"][rows] = 10.0 ** SERSIC_SCATTER.draw(LOG_SERSIC[kind], sersic)
        drawn["axis_ratio"][rows] = axis_ratio(kind, ratio)
    return drawn | {"position_angle": 180.0 * random[:, 3]}


_LIMITS = {"re_circ": np.inf, "re_maj": np.inf, "sersic_n": np.inf, "axis_ratio": 1.0}  # above 0 and at most this


def _check(galaxy_id: NDArray[np.int64], given: Mapping[str, NDArray]) -> None:
    for name, values in given.items():
        if values.dtype.kind not in "iuf":
            raise UserError(
                f"the column {name} of the table has no numbers. Rename it, or leave it out of galaxies.table.keep."
            )
        high = _LIMITS.get(name, np.inf)
        bad = np.isinf(values) if name == "position_angle" else (values <= 0.0) | (values > high) | np.isinf(values)
        if np.any(bad):
            first, count = int(np.argmax(bad)), int(np.count_nonzero(bad))
            others = f" (and {count - 1} others)" if count > 1 else ""
            expected = "above 0" if high == np.inf else f"above 0 and at most {high:g}"
            raise UserError(
                f"{name} of the galaxy {galaxy_id[first]}{others} is {values[first]:g} in the table; expected "
                f"{'a finite number' if name == 'position_angle' else f'values {expected}'}. Correct or remove it, "
                "rename the column, or leave it out of galaxies.table.keep."
            )
