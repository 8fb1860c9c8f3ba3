"""The targets of each galaxy: values given by its table, and draws from the relations given those."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.search.given import known

Array = NDArray[np.float64]
Given = Mapping[str, Array]

NOTHING: Given = MappingProxyType({})
"""What is given of galaxies whose table knows no more than redshift, mass and class."""

SFR_WITH_MUV = -0.2
"""Change of the drawn log SFR with the M_UV that is given, from its relation [dex / mag]: half of what is brighter
forms more stars, at 0.4 dex / mag, and half has less dust."""

DRAWN_QUANTITIES = {
    "star_forming": ("log_sfr", "log_zmet", "log_us", "muv", "beta"),
    "quiescent": ("log_sfr", "log_zmet"),
}
"""What is asked of each class; in files with the prefix ``prop_``."""

_STAGES = {"star_forming": Stage.PROPOSAL, "quiescent": Stage.QUIESCENT}


def numbers(
    kind: str, galaxy_id: NDArray[np.int64], seed: int, realisation: ArrayLike = 0, draw: int = 0
) -> dict[str, Array]:
    """Return the cumulative probabilities of one of the draws, by the names in `DRAWN_QUANTITIES`, shapes (n, )."""
    n_quantities = len(DRAWN_QUANTITIES[kind])
    random = uniforms(seed, _STAGES[kind], galaxy_id, n_quantities, first=draw * n_quantities, realisation=realisation)
    return dict(zip(DRAWN_QUANTITIES[kind], random.T, strict=True))


def quiescent(
    uniform: dict[str, Array], log_mstar: Array, redshift: Array, relations: Relations, given: Given = NOTHING
) -> dict[str, Array]:
    """Return SFR and metallicity given that, ``log_sfr`` and ``log_zmet``; see `star_forming`."""
    log_sfr = known(given, "log_sfr", relations.log_sfr_quiescent.draw(uniform["log_sfr"], log_mstar, redshift))
    log_zmet = relations.log_zmet.draw(uniform["log_zmet"], log_mstar, log_sfr, redshift)
    return {"log_sfr": log_sfr, "log_zmet": known(given, "log_zmet", log_zmet)}


def star_forming(
    uniform: dict[str, Array], log_mstar: Array, redshift: Array, relations: Relations, given: Given = NOTHING
) -> dict[str, Array]:
    """Return the targets of the search for star-forming galaxies: SFR, metallicity given the SFR, and UV slope.

    The slope is drawn around its relation at the M_UV that is given, or at the mean of the mass (`Relations.mean_muv`),
    and at the mean attenuation of the mass. M_UV is not drawn, see `mocksed.search.choice`. Where it is given, the SFR
    is drawn given that, see `SFR_WITH_MUV`.

    Parameters
    ----------
    uniform : dict of ndarrays of shape (n, )
        Of `numbers`.
    log_mstar, redshift : ndarrays of shape (n, )
        log10 of the mass [Msun] and redshift.
    relations : Relations
        Of the run.
    given : mapping of str to ndarray of shape (n, )
        What the table gives, see `mocksed.search.given.requested`.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``log_sfr``, ``log_zmet``, ``beta``.

    """
    mean_muv = relations.mean_muv(log_mstar, redshift)
    muv = known(given, "muv", mean_muv)
    log_sfr = known(given, "log_sfr", _sfr_with_muv(uniform["log_sfr"], log_mstar, redshift, relations, given))
    log_zmet = relations.log_zmet.draw(uniform["log_zmet"], log_mstar, log_sfr, redshift)
    beta = relations.beta.draw(uniform["beta"], muv, redshift, relations.mean_a_uv(log_mstar, redshift))
    return {"log_sfr": log_sfr, "log_zmet": known(given, "log_zmet", log_zmet), "beta": known(given, "beta", beta)}


def _sfr_with_muv(uniform: Array, log_mstar: Array, redshift: Array, relations: Relations, given: Given) -> Array:
    """Return log SFR from its relation, given M_UV where the table gives it."""
    sfr_relation = relations.log_sfr_star_forming
    log_sfr = sfr_relation.draw(uniform, log_mstar, redshift)
    if "muv" not in given:
        return log_sfr
    mean, brighter = sfr_relation.mean(log_mstar, redshift), given["muv"] - relations.mean_muv(log_mstar, redshift)
    # what M_UV says of the SFR is no longer scatter
    explained = SFR_WITH_MUV * relations.muv.scatter.scale / max(sfr_relation.scatter.scale, 1e-9)
    left = np.sqrt(max(1.0 - explained**2, 0.0))
    return np.where(np.isnan(brighter), log_sfr, mean + left * (log_sfr - mean) + SFR_WITH_MUV * brighter)


def independent(
    uniform: dict[str, Array], log_mstar: Array, redshift: Array, relations: Relations, given: Given = NOTHING
) -> dict[str, Array]:
    """Return every quantity of star-forming galaxies drawn from its relation by itself, as in 2021.

    The metallicity follows from the mass and the drawn SFR, the ionisation parameter from the drawn metallicity, the UV
    slope from the drawn M_UV: five of six such draws are met by no model. Arguments as in `star_forming`.
    """
    log_sfr = known(given, "log_sfr", relations.log_sfr_star_forming.draw(uniform["log_sfr"], log_mstar, redshift))
    log_zmet = relations.log_zmet.draw(uniform["log_zmet"], log_mstar, log_sfr, redshift)
    log_zmet = known(given, "log_zmet", log_zmet)
    log_us = relations.log_us.draw(uniform["log_us"], log_zmet, log_mstar, log_sfr, redshift)
    muv = known(given, "muv", relations.muv.draw(uniform["muv"], log_mstar, redshift))
    a_uv = relations.mean_a_uv(log_mstar, redshift)
    beta = known(given, "beta", relations.beta.draw(uniform["beta"], muv, redshift, a_uv))
    return {
        "log_sfr": log_sfr, "log_zmet": log_zmet, "beta": beta, "log_us": known(given, "log_us", log_us), "muv": muv,
    }  # fmt: skip
