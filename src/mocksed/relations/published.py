"""The relations that are known by name.

``log`` is log10, stellar masses are in Msun, SFRs in Msun/yr, metallicities log(Z/Zsun), magnitudes AB.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mocksed.relations.relation import ALL, ARGUMENTS, Array, Relation
from mocksed.relations.scatter import Gaussian, Scatter, StudentT

LOG_ZMET_RANGE = (-2.2, 0.24)
LOG_US_RANGE = (-4.0, -1.0)
BETA_RANGE = (-2.6, np.inf)

RELATIONS: dict[str, dict[str, Relation]] = {quantity: {} for quantity in ARGUMENTS}
"""Every relation by its quantity and name."""

Mean = Callable[..., Array]


def relation(
    quantity: str, name: str, scatter: Scatter, *, paper: str, doi: str,
    redshift: tuple[float, float] = ALL, log_mstar: tuple[float, float] = ALL, imf: str | None = None,
) -> Callable[[Mean], Mean]:  # fmt: skip
    """Register a function as the mean of a relation; arguments as in `Relation`."""

    def registered(mean: Mean) -> Mean:
        RELATIONS[quantity][name] = Relation(name, quantity, mean, scatter, paper, doi, redshift, log_mstar, imf)
        return mean

    return registered


@relation(
    "log_sfr_star_forming", "schreiber2015", Gaussian(0.3), imf="salpeter",
    paper="Schreiber et al. (2015), eq. 9", doi="10.1051/0004-6361/201425017",
)  # fmt: skip
def _schreiber2015(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    # the coefficients of 2015 in the form of Schreiber et al. (2017), as Drakos et al. (2022) have them
    r = np.log10(1.0 + np.asarray(redshift, float))
    m = np.asarray(log_mstar, float) - 9.0
    return m - 0.5 + 1.5 * r - 0.3 * np.maximum(0.0, m - 0.36 - 2.5 * r) ** 2


@relation(
    "log_sfr_quiescent", "schreiber2017", Gaussian(0.4), imf="salpeter",
    paper="Schreiber et al. (2017)", doi="10.1051/0004-6361/201629123",
)  # fmt: skip
def _schreiber2017(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    return 0.5 * (np.asarray(log_mstar, float) - 11.0) + np.log10(1.0 + np.asarray(redshift, float)) - 0.6


@relation(
    "log_zmet", "hunt2016", StudentT(0.3, LOG_ZMET_RANGE), imf="chabrier",
    paper="Hunt et al. (2016); Williams et al. (2018), eq. 15", doi="10.1093/mnras/stw1993",
)  # fmt: skip
def _hunt2016(log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    return -0.14 * np.asarray(log_sfr, float) + 0.37 * np.asarray(log_mstar, float) + 4.82 - 8.7


@relation(
    "log_us", "carton2017", StudentT(0.3, LOG_US_RANGE),
    paper="Carton et al. (2017); Williams et al. (2018), eq. 18", doi="10.1093/mnras/stx545",
)  # fmt: skip
def _carton2017(log_zmet: ArrayLike, log_mstar: ArrayLike, log_sfr: ArrayLike, redshift: ArrayLike) -> Array:
    return -0.8 * np.asarray(log_zmet, float) - 3.58


@relation(
    "muv", "williams2018", Gaussian(0.7), imf="chabrier",
    paper="Williams et al. (2018), eqs 11-12, as corrected by Drakos et al. (2022)", doi="10.3847/1538-4365/aabcbb",
)  # fmt: skip
def _williams2018_muv(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    z = np.minimum(np.asarray(redshift, float), 8.0)
    log_mstar_at_minus_20 = 9.43 - 0.12 * (z - 3.75) + 0.08 * np.maximum(0.0, 3.75 - z) ** 2
    return -20.0 - 1.66 * (np.asarray(log_mstar, float) - log_mstar_at_minus_20)


@relation(
    "beta", "williams2018", Gaussian(0.35, BETA_RANGE),
    paper="Williams et al. (2018), eq. 13", doi="10.3847/1538-4365/aabcbb",
)  # fmt: skip
def _williams2018_beta(muv: ArrayLike, redshift: ArrayLike) -> Array:
    z = np.minimum(np.asarray(redshift, float), 8.0)
    return (-0.09 - 0.007 * z) * (np.asarray(muv, float) + 19.5) + (-1.49 - 0.09 * z)
