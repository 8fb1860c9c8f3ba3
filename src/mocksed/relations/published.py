"""The published relations, by quantity and name (`RELATIONS`).

Logarithms are log10; stellar masses are in Msun, SFRs in Msun/yr, metallicities are log(Z/Zsun), magnitudes AB. Oxygen
abundances 12 + log(O/H) become metallicities relative to that of the sun, `OH12_SOLAR`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mocksed.relations.relation import ALL, ARGUMENTS, Array, Mean, Range, Relation
from mocksed.relations.scatter import Gaussian, Scatter, StudentT

# limits at which the scatter is truncated
LOG_ZMET_RANGE = (-2.2, 0.24)
LOG_US_RANGE = (-4.0, -1.0)
BETA_RANGE = (-2.6, np.inf)
DUST_RANGE = (0.0, np.inf)

OH12_SOLAR = 8.69
"""12 + log(O/H) of the sun (Asplund et al. 2009)."""

RELATIONS: dict[str, dict[str, Relation]] = {quantity: {} for quantity in ARGUMENTS}
"""All relations: from quantity and name to the relation."""


def _t_univ(redshift: ArrayLike) -> Array:
    """Return the age of the universe [Gyr], in the cosmology of the papers that use it in their relations."""
    from mocksed.cosmology import Cosmology, t_univ  # it imports SciPy, see `mocksed.relations.scatter`

    return t_univ(Cosmology(H0=70.0, Om0=0.3), redshift)


def relation(
    quantity: str, name: str, scatter: Scatter, *, paper: str, doi: str, redshift: Range = ALL, log_mstar: Range = ALL,
    imf: str | None = None, needs: tuple[str, ...] = (), note: str = "", scale: Mean | None = None,
) -> Callable[[Mean], Mean]:  # fmt: skip
    """Return a decorator that registers a function as the mean of a relation in `RELATIONS`.

    Arguments are as in `Relation`. ``imf`` is the initial mass function of both masses and SFRs. Without ``needs``, the
    relation depends on all `ARGUMENTS` of its quantity.
    """

    def registered(mean: Mean) -> Mean:
        RELATIONS[quantity][name] = Relation(
            name, quantity, mean, scatter, paper, doi, redshift, log_mstar, imf, imf, needs or ARGUMENTS[quantity],
            note, scale,
        )  # fmt: skip
        return mean

    return registered


# SFR of star-forming galaxies


@relation(
    "log_sfr_star_forming", "schreiber2015", Gaussian(0.3), imf="salpeter", redshift=(0.0, 4.0), log_mstar=(9.5, 11.5),
    paper="Schreiber et al. (2015), eq. 9", doi="10.1051/0004-6361/201425017",
)  # fmt: skip
def _schreiber2015(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    # the coefficients of 2015, written as in Schreiber et al. (2017) and Drakos et al. (2022)
    r = np.log10(1.0 + np.asarray(redshift, float))
    m = np.asarray(log_mstar, float) - 9.0
    return m - 0.5 + 1.5 * r - 0.3 * np.maximum(0.0, m - 0.36 - 2.5 * r) ** 2


@relation(
    "log_sfr_star_forming", "schreiber2017", Gaussian(0.3), imf="salpeter", redshift=(0.0, 4.0), log_mstar=(9.5, 11.5),
    paper="Schreiber et al. (2017), the authors' code", doi="10.1051/0004-6361/201629123",
    note="Of the main sequence; their starbursts, 3 % of the galaxies 0.72 dex above it, are left out.",
)  # fmt: skip
def _schreiber2017_main_sequence(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    r = np.log10(1.0 + np.asarray(redshift, float))
    m = np.asarray(log_mstar, float)
    return m - 9.67 + 1.82 * r - 0.38 * np.maximum(0.0, m - 9.59 - 2.22 * r) ** 2


@relation(
    "log_sfr_star_forming", "speagle2014", Gaussian(0.2), imf="kroupa", redshift=(0.0, 6.0), log_mstar=(9.7, 11.1),
    paper="Speagle et al. (2014), eq. 28", doi="10.1088/0067-0049/214/2/15",
)  # fmt: skip
def _speagle2014(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    t = _t_univ(redshift)
    return (0.84 - 0.026 * t) * np.asarray(log_mstar, float) - (6.51 - 0.11 * t)


@relation(
    "log_sfr_star_forming", "whitaker2014", Gaussian(0.3), imf="chabrier", redshift=(0.5, 2.5), log_mstar=(9.2, 11.2),
    paper="Whitaker et al. (2014), eq. 3 and table 3", doi="10.1088/0004-637X/795/2/104",
    note="Linear between the four bins of redshift, held beyond the middle of the outermost ones, 0.75 and 2.25.",
)  # fmt: skip
def _whitaker2014(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    low, high, at_break = (
        np.interp(np.asarray(redshift, float), (0.75, 1.25, 1.75, 2.25), values)
        for values in ((0.94, 0.99, 1.04, 0.91), (0.14, 0.51, 0.62, 0.67), (1.11, 1.31, 1.49, 1.62))
    )
    m = np.asarray(log_mstar, float) - 10.2
    return np.asarray(np.where(m > 0.0, high, low) * m + at_break)


@relation(
    "log_sfr_star_forming", "leja2022", Gaussian(0.3), imf="chabrier", redshift=(0.3, 2.7),
    paper="Leja et al. (2022), eqs 9-10 and table 1 (ridge)", doi="10.3847/1538-4357/ac887d",
    note="Held beyond its range of redshift, where the polynomials turn over.",
)  # fmt: skip
def _leja2022(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    z = np.clip(np.asarray(redshift, float), 0.3, 2.7)
    above = 0.03746 + 0.3448 * z - 0.1156 * z**2
    below = 0.9605 + 0.04990 * z - 0.05984 * z**2
    m = np.asarray(log_mstar, float) - (10.22 + 0.3826 * z - 0.04491 * z**2)
    return np.asarray(np.where(m > 0.0, above, below) * m + 0.2516 + 1.118 * z - 0.2006 * z**2)


@relation(
    "log_sfr_star_forming", "popesso2023", Gaussian(0.3), imf="kroupa", redshift=(0.0, 6.0), log_mstar=(8.5, 11.5),
    paper="Popesso et al. (2023), eq. 15", doi="10.1093/mnras/stac3214",
)  # fmt: skip
def _popesso2023(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    t = _t_univ(redshift)
    return 2.71 - 0.186 * t - np.log10(1.0 + 10.0 ** (10.86 - 0.0729 * t - np.asarray(log_mstar, float)))


# SFR of quiescent galaxies


@relation(
    "log_sfr_quiescent", "schreiber2017", Gaussian(0.4), imf="salpeter",
    paper="Schreiber et al. (2017)", doi="10.1051/0004-6361/201629123",
)  # fmt: skip
def _schreiber2017(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    return 0.5 * (np.asarray(log_mstar, float) - 11.0) + np.log10(1.0 + np.asarray(redshift, float)) - 0.6


@relation(
    "log_sfr_quiescent", "hahn2017", Gaussian(0.18), imf="chabrier", redshift=(0.0, 1.0), log_mstar=(9.5, 11.5),
    needs=("log_mstar",), paper="Hahn et al. (2017), the quiescent peak of the authors' code",
    doi="10.3847/1538-4357/aa6d6b", note="Where the SDSS has its quiescent galaxies; many of those SFRs are limits.",
)  # fmt: skip
def _hahn2017(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    return np.asarray(0.4 * (np.asarray(log_mstar, float) - 10.5) - 1.73 + np.zeros(np.shape(redshift)))


# Metallicity


@relation(
    "log_zmet", "hunt2016", StudentT(0.3, LOG_ZMET_RANGE), imf="chabrier", redshift=(0.0, 3.7),
    needs=("log_mstar", "log_sfr"), paper="Hunt et al. (2016); Williams et al. (2018), eq. 15",
    doi="10.1093/mnras/stw1993", note="12 + log(O/H) of the sun is 8.7.",
)  # fmt: skip
def _hunt2016(log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    return -0.14 * np.asarray(log_sfr, float) + 0.37 * np.asarray(log_mstar, float) + 4.82 - 8.7


@relation(
    "log_zmet", "curti2020", Gaussian(0.1, LOG_ZMET_RANGE), imf="chabrier", redshift=(0.0, 0.3),
    log_mstar=(7.95, 11.85), needs=("log_mstar", "log_sfr"), paper="Curti et al. (2020), eq. 5 and table 6 (total SFR)",
    doi="10.1093/mnras/stz2910", note="The residual scatter of the SDSS is 0.054 dex, less than the search resolves.",
)  # fmt: skip
def _curti2020(log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    turnover = 10.11 + 0.56 * np.asarray(log_sfr, float)
    below = np.log10(1.0 + 10.0 ** (-2.1 * (np.asarray(log_mstar, float) - turnover)))
    return np.asarray(8.779 - 0.31 / 2.1 * below - OH12_SOLAR)


@relation(
    "log_zmet", "sanders2021", Gaussian(0.1, LOG_ZMET_RANGE), imf="chabrier", redshift=(0.0, 3.3),
    log_mstar=(9.0, 11.0), needs=("log_mstar", "log_sfr"), paper="Sanders et al. (2021), eqs 9-10",
    doi="10.3847/1538-4357/abf4c1", note="Held beyond the maximum and the minimum of the cubic.",
)  # fmt: skip
def _sanders2021(log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    # the cubic turns over at these limits, where its derivative 0.188 - 0.44 y - 0.1593 y^2 is 0
    y = np.clip(np.asarray(log_mstar, float) - 0.6 * np.asarray(log_sfr, float) - 10.0, -3.138, 0.376)
    return np.asarray(8.80 + 0.188 * y - 0.220 * y**2 - 0.0531 * y**3 - OH12_SOLAR)


@relation(
    "log_zmet", "nakajima2023", Gaussian(0.1, LOG_ZMET_RANGE), imf="chabrier", redshift=(4.0, 10.0),
    log_mstar=(7.0, 10.0), needs=("log_mstar",), paper="Nakajima et al. (2023), the fit to all of z = 4-10",
    doi="10.3847/1538-4365/acd556",
)  # fmt: skip
def _nakajima2023(log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    zeros = np.zeros(np.broadcast_shapes(np.shape(log_sfr), np.shape(redshift)))
    return np.asarray(8.24 + 0.25 * (np.asarray(log_mstar, float) - 10.0) - OH12_SOLAR + zeros)


# Ionisation parameter


@relation(
    "log_us", "carton2017", StudentT(0.3, LOG_US_RANGE), needs=("log_zmet",), redshift=(0.0, 0.3),
    paper="Carton et al. (2017); Williams et al. (2018), eq. 18", doi="10.1093/mnras/stx545",
)  # fmt: skip
def _carton2017(log_zmet: ArrayLike, log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    return -0.8 * np.asarray(log_zmet, float) - 3.58


@relation(
    "log_us", "kashino2019", StudentT(0.3, LOG_US_RANGE), imf="kroupa", redshift=(0.027, 0.25),
    needs=("log_zmet", "log_mstar", "log_sfr"), paper="Kashino & Inoue (2019), eq. 12 and table 2",
    doi="10.1093/mnras/stz881", note="It evolves as the specific SFR does.",
)  # fmt: skip
def _kashino2019(log_zmet: ArrayLike, log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    mass = np.asarray(log_mstar, float)
    log_ssfr = np.asarray(log_sfr, float) - mass + 9.0  # [1/Gyr]
    # log10 of the electron density [cm^-3]
    log_ne = 2.066 + 0.310 * (mass - 10.0) + 0.492 * log_ssfr
    log_oh = np.asarray(log_zmet, float) + OH12_SOLAR - 8.0
    return np.asarray(-2.316 - 0.360 * log_oh - 0.292 * log_ne + 0.428 * log_ssfr)


# M_UV


@relation(
    "muv", "williams2018", Gaussian(0.7), imf="chabrier", redshift=(0.2, 8.0),
    paper="Williams et al. (2018), eqs 11-12, as corrected by Drakos et al. (2022)", doi="10.3847/1538-4365/aabcbb",
    note="Held above its range of redshift.",
)  # fmt: skip
def _williams2018_muv(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    z = np.minimum(np.asarray(redshift, float), 8.0)
    log_mstar_at_minus_20 = 9.43 - 0.12 * (z - 3.75) + 0.08 * np.maximum(0.0, 3.75 - z) ** 2
    return -20.0 - 1.66 * (np.asarray(log_mstar, float) - log_mstar_at_minus_20)


# UV slope


@relation(
    "beta", "williams2018", Gaussian(0.35, BETA_RANGE), redshift=(1.0, 8.0), needs=("muv", "redshift"),
    paper="Williams et al. (2018), eq. 13", doi="10.3847/1538-4365/aabcbb", note="Held above its range of redshift.",
)  # fmt: skip
def _williams2018_beta(muv: ArrayLike, redshift: ArrayLike, a_uv: ArrayLike = 0.0) -> Array:
    z = np.minimum(np.asarray(redshift, float), 8.0)
    zeros = np.zeros(np.shape(a_uv))
    return (-0.09 - 0.007 * z) * (np.asarray(muv, float) + 19.5) + (-1.49 - 0.09 * z) + zeros


@relation(
    "beta", "bouwens2014", Gaussian(0.34, BETA_RANGE), redshift=(2.5, 8.0), needs=("muv", "redshift"),
    paper="Bouwens et al. (2014), table 3", doi="10.1088/0004-637X/793/2/115",
    note="Linear between the redshifts of the table, held beyond them.",
)  # fmt: skip
def _bouwens2014(muv: ArrayLike, redshift: ArrayLike, a_uv: ArrayLike = 0.0) -> Array:
    z, nodes = np.asarray(redshift, float), (2.5, 3.8, 5.0, 5.9, 7.0, 8.0)
    at_mean = np.interp(z, nodes, (-1.70, -1.85, -1.91, -2.00, -2.05, -2.13))
    slope = np.interp(z, nodes, (-0.20, -0.11, -0.14, -0.20, -0.20, -0.15))
    return np.asarray(at_mean + slope * (np.asarray(muv, float) + 19.5) + np.zeros(np.shape(a_uv)))


@relation(
    "beta", "cullen2023", Gaussian(0.35, BETA_RANGE), redshift=(8.0, 16.0), needs=("muv",),
    paper="Cullen et al. (2023)", doi="10.1093/mnras/stad073",
)  # fmt: skip
def _cullen2023(muv: ArrayLike, redshift: ArrayLike, a_uv: ArrayLike = 0.0) -> Array:
    zeros = np.zeros(np.broadcast_shapes(np.shape(redshift), np.shape(a_uv)))
    return np.asarray(-0.17 * np.asarray(muv, float) - 5.40 + zeros)


def _slope_of_dust(zero: float, slope: float) -> Mean:
    """Return the mean of a relation in which A_UV [mag] = ``zero`` + ``slope`` beta, solved for beta."""

    def mean(muv: ArrayLike, redshift: ArrayLike, a_uv: ArrayLike = 0.0) -> Array:
        zeros = np.zeros(np.broadcast_shapes(np.shape(muv), np.shape(redshift)))
        return np.asarray((np.asarray(a_uv, float) - zero) / slope + zeros)

    return mean


relation(
    "beta", "meurer1999", Gaussian(0.35, BETA_RANGE), needs=("a_uv",), paper="Meurer et al. (1999)",
    doi="10.1086/307523", note="A_1600 = 4.43 + 1.99 beta, of local starbursts. The scatter is that of `williams2018`.",
)(_slope_of_dust(4.43, 1.99))  # fmt: skip
relation(
    "beta", "koprowski2018", Gaussian(0.35, BETA_RANGE), redshift=(3.0, 5.0), needs=("a_uv",),
    paper="Koprowski et al. (2018)", doi="10.1093/mnras/sty1527",
    note="A_1600 = 4.85 + 2.10 beta, that of Calzetti's curve. The scatter is that of `williams2018`.",
)(_slope_of_dust(4.85, 2.10))  # fmt: skip


# Dust


@relation(
    "a_uv", "mclure2018", Gaussian(0.5, DUST_RANGE), imf="chabrier", redshift=(2.0, 3.0), log_mstar=(9.25, 10.75),
    needs=("log_mstar",), paper="McLure et al. (2018), A_1600 against mass", doi="10.1093/mnras/sty522",
    note="Not below 0, where the cubic is from 10^8.3 Msun down.",
)  # fmt: skip
def _mclure2018(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    x = np.asarray(log_mstar, float) - 10.0 + np.zeros(np.shape(redshift))
    return np.maximum(2.293 + 1.160 * x + 0.256 * x**2 + 0.209 * x**3, 0.0)


@relation(
    "a_uv", "pannella2015", Gaussian(0.5, DUST_RANGE), imf="salpeter", redshift=(1.2, 4.0), needs=("log_mstar",),
    paper="Pannella et al. (2015), A_UV against mass at z > 1.2", doi="10.1088/0004-637X/807/2/141",
    note="Not below 0, where the line is from 10^8.4 Msun down.",
)  # fmt: skip
def _pannella2015(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    return np.maximum(1.6 * np.asarray(log_mstar, float) - 13.5 + np.zeros(np.shape(redshift)), 0.0)


def _infrared_excess(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the ratio of obscured to unobscured SFR (Schreiber et al. 2017, the authors' code)."""
    slope = 0.45 * np.minimum(np.asarray(redshift, float), 3.0) + 0.35
    return np.asarray(10.0 ** (slope * (np.asarray(log_mstar, float) - 10.5) + 1.2))


def _scatter_schreiber2017(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    # a scatter of 0.4 dex in the infrared excess IRX, times dA / dlog(IRX) = 2.5 IRX / (1 + IRX)
    excess = _infrared_excess(log_mstar, redshift)
    return np.asarray(2.5 * 0.4 * excess / (1.0 + excess))


@relation(
    "a_uv", "schreiber2017", Gaussian(0.9, DUST_RANGE), imf="salpeter", redshift=(0.0, 4.0),
    paper="Schreiber et al. (2017), the infrared excess of the authors' code", doi="10.1051/0004-6361/201629123",
    note="A_UV is 2.5 log10 of the whole SFR over that seen in the UV. The scatter is 0.4 dex in the infrared excess, "
    "0.9 mag at 10^10.5 Msun.", scale=_scatter_schreiber2017,
)  # fmt: skip
def _schreiber2017_excess(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    return np.asarray(2.5 * np.log10(1.0 + _infrared_excess(log_mstar, redshift)))


@relation(
    "a_uv", "whitaker2017", Gaussian(0.5, DUST_RANGE), imf="chabrier", redshift=(0.0, 2.5), log_mstar=(8.7, 11.3),
    needs=("log_mstar",), paper="Whitaker et al. (2017), eq. 1", doi="10.3847/1538-4357/aa94ce",
    note="A_UV is 2.5 log10 of the whole SFR over that seen in the UV. The scatter is that of `mclure2018`.",
)  # fmt: skip
def _whitaker2017(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    # The obscured share is 1 / (1 + u), where u = a exp(b log M) is the SFR seen in the UV over the obscured one. The
    # whole SFR over that seen in the UV is therefore 1 + 1 / u.
    seen_over_obscured = 1.96e9 * np.exp(-2.277 * np.asarray(log_mstar, float))
    return np.asarray(2.5 * np.log10(1.0 + 1.0 / seen_over_obscured) + np.zeros(np.shape(redshift)))


_V_OF_STARS = 0.44 * 4.05 / 3.326
"""A_V of stars divided by A_Halpha (Calzetti et al. 2000). For the gas, A_V / A_Halpha is k(V) / k(Halpha) =
4.05 / 3.326 by Calzetti's curve; the attenuation of stars is 0.44 of that of the gas."""


@relation(
    "a_v", "garn_best2010", Gaussian(0.3 * _V_OF_STARS, DUST_RANGE), imf="kroupa", redshift=(0.0, 0.3),
    log_mstar=(8.5, 11.5), needs=("log_mstar",), paper="Garn & Best (2010), eq. 5",
    doi="10.1111/j.1365-2966.2010.17321.x",
    note="A_V of stars is 0.54 of the A_Halpha of the paper (Calzetti et al. 2000); held beyond the minimum and the "
    "maximum of the cubic.",
)  # fmt: skip
def _garn_best2010(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    # the cubic turns over at these limits, where its derivative 0.77 + 0.22 x - 0.27 x^2 is 0
    x = np.clip(np.asarray(log_mstar, float) - 10.0 + np.zeros(np.shape(redshift)), -1.330, 2.145)
    return np.asarray(_V_OF_STARS * (0.91 + 0.77 * x + 0.11 * x**2 - 0.09 * x**3))


_CALZETTI_SLOPE = 1.073
"""Logarithmic slope of Calzetti's curve at 5500 A, -d ln k / d ln(wavelength) (Calzetti et al. 2000)."""


@relation(
    "dust_index", "chevallard2013", Gaussian(0.25), paper="Chevallard et al. (2013), eq. 10",
    doi="10.1093/mnras/stt523",
    note="1.073, the slope of Calzetti's curve at 5500 A, less that of the paper, 2.8 / (1 + 3 sqrt(tau_V)) to 25 %.",
)  # fmt: skip
def _chevallard2013(a_v: ArrayLike) -> Array:
    tau_v = np.maximum(np.asarray(a_v, float), 0.0) / (2.5 * np.log10(np.e))
    return np.asarray(_CALZETTI_SLOPE - 2.8 / (1.0 + 3.0 * np.sqrt(tau_v)))
