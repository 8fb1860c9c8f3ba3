"""Functions that papers fit to observed quantities; the parameters of each are arguments.

Densities are per comoving Mpc^3, and per magnitude or per dex, as the name of a function says. Arguments broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.modeling.powerlaws import Schechter1D
from numpy.typing import ArrayLike, NDArray
from scipy import constants
from scipy.special import erf

from mocksed.cosmology import Cosmology, comoving_volume, distance_modulus

Array = NDArray[np.float64]
Values = float | Array

_SCHECHTER = Schechter1D()
_SQUARE_DEGREE = (np.pi / 180.0) ** 2  # [sr]
_LOG_CM_PER_10_PC = np.log10(10.0 * constants.parsec / constants.centi)  # 10 pc is at distance modulus 0


def schechter_mag(magnitude: ArrayLike, m_star: Values, phi_star: Values, alpha: Values) -> Array:
    """Return a Schechter function per magnitude, in the unit of ``phi_star`` (Schechter 1976)."""
    return np.asarray(_SCHECHTER.evaluate(np.asarray(magnitude, float), phi_star, m_star, alpha))


def schechter_dex(log_x: ArrayLike, log_x_star: Values, phi_star: Values, alpha: Values) -> Array:
    """Return a Schechter function per dex of x, a mass or a luminosity, in the unit of ``phi_star``.

    ``log_x`` and ``log_x_star`` are log10 of x and of its characteristic value.
    """
    # that per magnitude, where the magnitude is -2.5 log x, so that a dex has 2.5 of them
    return 2.5 * schechter_mag(-2.5 * np.asarray(log_x, float), -2.5 * log_x_star, phi_star, alpha)


def double_schechter_dex(
    log_x: ArrayLike, log_x_star: Values, phi_star_1: Values, alpha_1: Values,
    phi_star_2: Values, alpha_2: Values,
) -> Array:  # fmt: skip
    """Return the sum of two Schechter functions per dex (`schechter_dex`) that share the characteristic mass."""
    first = schechter_dex(log_x, log_x_star, phi_star_1, alpha_1)
    return first + schechter_dex(log_x, log_x_star, phi_star_2, alpha_2)


def double_power_law_mag(magnitude: ArrayLike, m_star: Values, phi_star: Values, alpha: Values, beta: Values) -> Array:
    """Return phi* / (10^(0.4 (alpha + 1) (M - M*)) + 10^(0.4 (beta + 1) (M - M*))) per magnitude.

    The unit is that of ``phi_star``; ``alpha`` is the slope at the faint end and ``beta`` that at the bright end.
    """
    fainter = 0.4 * (np.asarray(magnitude, float) - m_star)
    return np.asarray(phi_star / (10.0 ** ((alpha + 1.0) * fainter) + 10.0 ** ((beta + 1.0) * fainter)))


def broken_power_law_dex(log_x: ArrayLike, log_x_star: Values, phi_star: Values, alpha: Values, delta: Values) -> Array:
    """Return ln(10) phi* y^(alpha + 1) / (1 + (e - 1) y^delta) per dex, with y = x / x* (Pozzetti et al. 2016)."""
    y = 10.0 ** (np.asarray(log_x, float) - log_x_star)
    return np.asarray(np.log(10.0) * phi_star * y ** (alpha + 1.0) / (1.0 + (np.e - 1.0) * y**delta))


def pozzetti2016(
    log_luminosity: ArrayLike, redshift: ArrayLike, model: int, alpha: float, phi_star: float, log_l_star: float,
    delta: float, drop: float, evolution: float, z_turn: float,
) -> Array:  # fmt: skip
    """Return the Halpha luminosity function of one of the models of Pozzetti et al. (2016) [Mpc^-3 dex^-1].

    Parameters
    ----------
    log_luminosity, redshift : array_like
        log10 of the luminosity of Halpha without [N II], not corrected for dust [erg/s], and redshift; they broadcast.
    model : int
        1: a Schechter function whose L* grows as (1 + z)^evolution; phi* grows as 1 + z up to ``z_turn`` and falls as
        1 / (1 + z) beyond. 2: a Schechter function whose log L* is lower by ``evolution`` (z - z_turn)^2; phi* is
        constant. 3: a broken power law whose log L* is ``drop`` lower at ``z_turn`` than its value at high redshift,
        which it approaches as (1 + z)^-evolution; phi* is constant.
    alpha, phi_star, log_l_star, delta, drop, evolution, z_turn : float
        Parameters: ``alpha`` and ``phi_star`` [Mpc^-3] as in `schechter_dex` and `broken_power_law_dex`;
        ``log_l_star``, log10 of L* [erg/s] at z = 0 (model 1), at ``z_turn`` (2) or at high redshift (3); ``delta`` and
        ``drop``, which only model 3 uses.

    Raises
    ------
    ValueError
        If there is no such model.

    """
    z = np.asarray(redshift, float)
    if model == 1:
        growth = (1.0 + z) * np.where(z > z_turn, ((1.0 + z_turn) / (1.0 + z)) ** 2, 1.0)
        return schechter_dex(log_luminosity, log_l_star + evolution * np.log10(1.0 + z), phi_star * growth, alpha)
    if model == 2:
        return schechter_dex(log_luminosity, log_l_star - evolution * (z - z_turn) ** 2, phi_star, alpha)
    if model == 3:
        log_knee = log_l_star - drop * ((1.0 + z_turn) / (1.0 + z)) ** evolution
        return broken_power_law_dex(log_luminosity, log_knee, phi_star, alpha, delta)
    raise ValueError(f"model {model} is not one of 1, 2 and 3, those of Pozzetti et al. (2016)")


def counts_above(
    density: Callable[[Array, Array], Array], flux: float, redshift: tuple[float, float], cosmo: Cosmology
) -> float:
    """Return the number of line emitters per square degree brighter than a flux, from their luminosity function.

    Parameters
    ----------
    density : callable
        Number per Mpc^3 and dex, a function of log10 of the luminosity [erg/s] and redshift, which broadcast.
    flux : float
        Lowest flux [erg / s / cm^2].
    redshift : tuple of float
        Lowest and highest redshift.
    cosmo : Cosmology
        Cosmology for volumes and distances.

    """
    z = np.linspace(*redshift, 101)
    log_area = np.log10(4.0 * np.pi) + 2.0 * (0.2 * distance_modulus(cosmo, z) + _LOG_CM_PER_10_PC)  # [cm^2]
    # [dex] above the luminosity of the limit: next to no galaxies are more than 10^4 times as bright
    above = np.linspace(0.0, 4.0, 401)
    per_volume = np.trapezoid(density(np.log10(flux) + log_area + above[:, None], z), above, axis=0)
    return float(np.trapezoid(per_volume * comoving_volume(cosmo, z), z) * _SQUARE_DEGREE)


def sfr_density(redshift: ArrayLike, psi: float, rise: float, turn: float, fall: float) -> Array:
    """Return psi (1 + z)^rise / (1 + ((1 + z) / turn)^fall) in the unit of ``psi`` (Madau & Dickinson 2014, eq. 15)."""
    stretch = 1.0 + np.asarray(redshift, float)
    return np.asarray(psi * stretch**rise / (1.0 + (stretch / turn) ** fall))


def hyperbola(x: ArrayLike, scale: Values, pole: Values, offset: Values) -> Array:
    """Return scale / (x - pole) + offset where x is below the pole, NaN elsewhere.

    This is the form of dividing lines in the BPT diagram, with log10 of [N II]/Halpha as ``x`` and log10 of [O
    III]/Hbeta as the result.
    """
    x = np.asarray(x, float)
    return np.where(x < pole, np.divide(scale, np.where(x < pole, x - pole, -1.0)) + offset, np.nan)


def evolving_hyperbola(
    x: ArrayLike, redshift: ArrayLike, scale: Values, pole: Values, pole_rise: Values, offset: Values,
    offset_rise: Values,
) -> Array:  # fmt: skip
    """Return a `hyperbola` whose pole and offset change linearly with redshift (Kewley et al. 2013)."""
    z = np.asarray(redshift, float)
    return hyperbola(x, scale, pole + pole_rise * z, offset + offset_rise * z)


def line(x: ArrayLike, slope: Values, intercept: Values) -> Array:
    """Return slope x + intercept."""
    return np.asarray(slope * np.asarray(x, float) + intercept)


def obscured_share(log_mstar: ArrayLike, a: Values, b: Values) -> Array:
    """Return the obscured share of the SFR, 1 / (1 + a exp(b log10(M / Msun))) (Whitaker et al. 2017, eq. 1)."""
    return np.asarray(1.0 / (1.0 + a * np.exp(b * np.asarray(log_mstar, float))))


def attenuation(obscured: ArrayLike) -> Array:
    """Return the attenuation in the ultraviolet at which 1 - ``obscured`` of the SFR is seen there [mag]."""
    return np.asarray(-2.5 * np.log10(1.0 - np.asarray(obscured, float)))


def v_j_of_mass(
    log_mstar: ArrayLike, redshift: ArrayLike, rise: Values, at_zero: Values, evolution: Values,
    evolution_rise: Values, log_m_rise: Values, z_end: Values, reddest: Values,
) -> Array:  # fmt: skip
    """Return the mean V-J of star-forming galaxies [AB mag] (Schreiber et al. 2017), with x = log10(M / Msun).

    At z = 0 it is ``rise`` erf(x - 10) + ``at_zero``. Per unit of redshift up to ``z_end``, ``evolution`` is added, and
    ``evolution_rise`` for each dex above ``log_m_rise``. The result is at most ``reddest``.
    """
    x = np.asarray(log_mstar, float)
    local = rise * erf(x - 10.0) + at_zero
    per_redshift = evolution + evolution_rise * np.maximum(0.0, x - log_m_rise)
    return np.asarray(np.minimum(local + per_redshift * np.minimum(redshift, z_end), reddest))


@dataclass(frozen=True)
class Law:
    """A function that a table of observations can name, with parameters in the columns of the table.

    Attributes
    ----------
    function : callable
        A function of x, of redshift if it ``evolves``, and of the parameters.
    parameters : tuple of str
        Names of the parameters, which are columns of the table.
    evolves : bool
        Whether redshift is its second argument.
    fixed_mass : bool
        Whether x is log10 of a mass that no parameter scales: for another IMF, x has to be shifted instead.

    """

    function: Callable[..., Array]
    parameters: tuple[str, ...]
    evolves: bool = False
    fixed_mass: bool = False


LAWS = {
    "schechter_mag": Law(schechter_mag, ("m_star", "phi_star", "alpha")),
    "double_power_law_mag": Law(double_power_law_mag, ("m_star", "phi_star", "alpha", "beta")),
    "double_schechter_dex": Law(
        double_schechter_dex, ("log_m_star", "phi_star_1", "alpha_1", "phi_star_2", "alpha_2")
    ),
    "pozzetti2016": Law(
        pozzetti2016,
        ("model", "alpha", "phi_star", "log_l_star", "delta", "drop", "evolution", "z_turn"), evolves=True,
    ),
    "sfr_density": Law(sfr_density, ("psi", "rise", "turn", "fall")),
    "hyperbola": Law(hyperbola, ("scale", "pole", "offset")),
    "evolving_hyperbola": Law(
        evolving_hyperbola, ("scale", "pole", "pole_rise", "offset", "offset_rise"), evolves=True
    ),
    "v_j_of_mass": Law(
        v_j_of_mass,
        ("rise", "at_zero", "evolution", "evolution_rise", "log_m_rise", "z_end", "reddest"), evolves=True,
        fixed_mass=True,
    ),
    "line": Law(line, ("slope", "intercept"), fixed_mass=True),
    "obscured_share": Law(obscured_share, ("a", "b"), fixed_mass=True),
}  # fmt: skip
"""The functions, by the kind of the tables that hold their parameters."""
