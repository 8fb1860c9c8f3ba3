"""Residuals of star-forming galaxies from their relations, and the correlation of those of M_UV and UV slope."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed.diagnostics import bins
from mocksed.diagnostics.catalogue import Arrays
from mocksed.diagnostics.settings import Settings
from mocksed.relations import Relations, Scatter

QUANTITIES = ("muv", "beta", "log_sfr", "log_zmet", "log_us")
COLUMNS = ("redshift", "log_mstar", "quiescent", "muv_intrinsic", *QUANTITIES)

MIN_COUNT = 100
"""Galaxies that a bin of redshift and mass must have for a correlation."""

LEAST_LOG_MSTAR = 8.5
"""Below it the relations ask for more UV light than models of the SFR have: residuals are not free of each other."""


def from_relations(galaxies: Arrays, relations: Relations) -> Arrays:
    """Return quantities minus the median of their relation at the galaxy's own arguments.

    The median is that of the relation with its scatter, which is cut to the limits of the quantity.

    Parameters
    ----------
    galaxies : dict of str to ndarray of shape (n, )
        ``redshift``, ``log_mstar`` and `QUANTITIES`.
    relations : Relations
        Of the run.

    """
    mean = means(galaxies, relations)
    laws = scatters(relations)
    return {name: galaxies[name] - laws[name].draw(mean[name], 0.5) for name in QUANTITIES}


def scatters(relations: Relations) -> dict[str, Scatter]:
    """Return the scatter of each of `QUANTITIES`; where a user's table has several, their median."""
    of_run = {name: relations.of(name) for name in QUANTITIES}
    return {name: relation.scatter for name, relation in of_run.items()} | {"muv": relations.scatter_muv}


def means(galaxies: Arrays, relations: Relations) -> Arrays:
    """Return the means of the relations at the galaxy's own arguments."""
    z, mass = galaxies["redshift"], galaxies["log_mstar"]
    return {
        "muv": relations.mean_muv(mass, z),
        "beta": mean_beta(galaxies, relations),
        "log_sfr": relations.log_sfr_star_forming.mean(mass, z),
        "log_zmet": relations.log_zmet.mean(mass, galaxies["log_sfr"], z),
        "log_us": relations.log_us.mean(galaxies["log_zmet"], mass, galaxies["log_sfr"], z),
    }


def mean_beta(galaxies: Arrays, relations: Relations) -> NDArray[np.float64]:
    """Return the mean of the relation of the UV slope at the galaxy's own M_UV and attenuation."""
    return relations.beta.mean(galaxies["muv"], galaxies["redshift"], galaxies["muv"] - galaxies["muv_intrinsic"])


def correlations(galaxies: Arrays, settings: Settings) -> list[dict[str, Any]]:
    """Return the correlation of the residuals of M_UV and UV slope in bins of redshift and mass.

    Returns
    -------
    list of dict
        ``redshift`` and ``log_mstar`` : [low, high] of the bin; ``count``; ``correlation`` (Pearson's).

    """
    z, mass = galaxies["redshift"], galaxies["log_mstar"]
    muv = galaxies["muv"] - settings.run_relations.mean_muv(mass, z)
    beta = galaxies["beta"] - mean_beta(galaxies, settings.run_relations)
    correlations_of_bins = []
    for z_low, z_high, in_redshift in bins.slices(z, settings.redshift_bins):
        for low, high, in_mass in bins.slices(mass, bins.edges(mass, settings.mass_bin)):
            inside = in_redshift & in_mass & np.isfinite(muv) & np.isfinite(beta)
            if low >= LEAST_LOG_MSTAR and np.count_nonzero(inside) >= MIN_COUNT:
                correlations_of_bins.append({
                    "redshift": [z_low, z_high],
                    "log_mstar": [low, high],
                    "count": int(np.count_nonzero(inside)),
                    "correlation": _correlation(muv[inside], beta[inside]),
                })  # fmt: skip
    return correlations_of_bins


def _correlation(one: NDArray, other: NDArray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.corrcoef(one, other)[0, 1])
