"""What the relations ask of each galaxy: draws around their means."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms

Array = NDArray[np.float64]

ASKED = {"star_forming": ("log_sfr", "log_zmet", "log_us", "muv", "beta"), "quiescent": ("log_sfr", "log_zmet")}
"""What is asked of each class; in files with the prefix ``prop_``."""

_STAGES = {"star_forming": Stage.PROPOSAL, "quiescent": Stage.QUIESCENT}


def numbers(
    kind: str, galaxy_id: NDArray[np.int64], seed: int, realisation: ArrayLike = 0, draw: int = 0
) -> dict[str, Array]:
    """Return the cumulative probabilities of one of the draws, by the names in `ASKED`, shapes (n, )."""
    n_asked = len(ASKED[kind])
    random = uniforms(seed, _STAGES[kind], galaxy_id, n_asked, first=draw * n_asked, realisation=realisation)
    return dict(zip(ASKED[kind], random.T, strict=True))


def quiescent(uniform: dict[str, Array], log_mstar: Array, redshift: Array, relations: Relations) -> dict[str, Array]:
    """Return SFR and metallicity given that, ``log_sfr`` and ``log_zmet``; see `star_forming`."""
    log_sfr = relations.log_sfr_quiescent.draw(uniform["log_sfr"], log_mstar, redshift)
    log_zmet = relations.log_zmet.draw(uniform["log_zmet"], log_mstar, log_sfr, redshift)
    return {"log_sfr": log_sfr, "log_zmet": log_zmet}


def star_forming(
    uniform: dict[str, Array], log_mstar: Array, redshift: Array, relations: Relations
) -> dict[str, Array]:
    """Return what the search for star-forming galaxies begins with: SFR, metallicity given that, and UV slope.

    The slope is drawn around its relation at the mean M_UV of the mass; M_UV is not drawn, see `mocksed.search.choice`.

    Parameters
    ----------
    uniform : dict of ndarrays of shape (n, )
        Of `numbers`.
    log_mstar, redshift : ndarrays of shape (n, )
        log10 of the mass [Msun] and redshift.
    relations : Relations
        Of the run.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``log_sfr``, ``log_zmet``, ``beta``.

    """
    log_sfr = relations.log_sfr_star_forming.draw(uniform["log_sfr"], log_mstar, redshift)
    log_zmet = relations.log_zmet.draw(uniform["log_zmet"], log_mstar, log_sfr, redshift)
    beta = relations.beta.draw(uniform["beta"], relations.muv.mean(log_mstar, redshift), redshift)
    return {"log_sfr": log_sfr, "log_zmet": log_zmet, "beta": beta}


def independent(uniform: dict[str, Array], log_mstar: Array, redshift: Array, relations: Relations) -> dict[str, Array]:
    """Return every quantity of star-forming galaxies drawn from its relation by itself, as in 2021.

    The metallicity follows from the mass and the drawn SFR, the ionisation parameter from the drawn metallicity, the UV
    slope from the drawn M_UV: five of six such draws are met by no model. Arguments as in `star_forming`.
    """
    asked = star_forming(uniform, log_mstar, redshift, relations)
    muv = relations.muv.draw(uniform["muv"], log_mstar, redshift)
    beta = relations.beta.draw(uniform["beta"], muv, redshift)
    log_us = relations.log_us.draw(uniform["log_us"], asked["log_zmet"], log_mstar, asked["log_sfr"], redshift)
    return asked | {"log_us": log_us, "muv": muv, "beta": beta}
