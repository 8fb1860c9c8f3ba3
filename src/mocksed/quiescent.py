"""Quiescent galaxies: SFR from its relation, colours in the UVJ box, by rejection sampling on batches.

Age and metallicity are drawn, tau is solved from the SFR; a try whose colours lie outside the box, or whose age allows
no tau with that SFR, is rejected. Which try a galaxy takes does not depend on the batch it is in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed import relations as rel
from mocksed.columns import Flag
from mocksed.jobs import Progress
from mocksed.parent import Sampling, draw
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.sps import TAU_RANGE
from mocksed.sps.weights import sfr_per_mass_formed
from mocksed.uvj import in_box

if TYPE_CHECKING:
    from astropy.cosmology import FlatLambdaCDM

    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]

SFR_TOLERANCE = 0.01
"""A try reaches its SFR if it is within this [dex]."""

_DRAWN = ("age", "log_zmet", "dust2")  # anew in each try
_FIRST_TRY = 1  # random numbers before it belong to the galaxy: the SFR
_BATCH = 200_000  # tries evaluated at once


@dataclass(frozen=True)
class Prior:
    """What the tries are drawn from, shared by all galaxies.

    Attributes
    ----------
    sampling : mapping
        Distributions of age, metallicity and dust (see `mocksed.parent`).
    box : mapping
        The UVJ box (see `mocksed.uvj`).
    max_tries : int
        Tries for each galaxy.
    seed : int
        Seed of the run.
    cosmo : FlatLambdaCDM
        Cosmology that limits the ages.
    scatter : Relations
        Scatter of the relations.

    """

    sampling: Sampling
    box: Mapping[str, float]
    max_tries: int
    seed: int
    cosmo: FlatLambdaCDM
    scatter: Relations


def solve_tau(age: Array, psi: Array, sfh: str = "delayed_tau") -> Array:
    """Return the tau [Gyr] at which a history has the SFR ``psi`` [1/Gyr] per mass formed at ``age`` [Gyr].

    At a given age the SFR rises with tau, for delayed tau towards 2 / age; where the requested one is out of reach
    within `TAU_RANGE`, the nearer limit is returned.
    """
    low, high = (np.full(np.shape(age), np.log(limit)) for limit in TAU_RANGE)
    for _ in range(40):  # halves an interval of ln(1000) to 6e-12
        middle = 0.5 * (low + high)
        above = sfr_per_mass_formed(sfh, age, np.exp(middle)) > psi
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.exp(0.5 * (low + high))


def propose_log_sfr(
    galaxy_id: NDArray[np.int64], log_mstar: Array, redshift: Array, prior: Prior, realisation: ArrayLike = 0
) -> Array:
    """Return the SFRs proposed from the relation of quiescent galaxies, log10 [Msun/yr], shape (n, )."""
    uniform = uniforms(prior.seed, Stage.QUIESCENT, galaxy_id, 1, realisation=realisation)[:, 0]
    return prior.scatter.log_sfr_quiescent.draw(rel.log_sfr_quiescent(log_mstar, redshift), uniform)


def outside(uv: Array, vj: Array, box: Mapping[str, float]) -> Array:
    """Return how far colours lie outside the UVJ box [mag]: 0 inside it."""
    violations = (
        box["uv_min"] - uv,
        vj - box["vj_max"],
        (box["slope"] * vj + box["intercept"] - uv) / np.hypot(box["slope"], 1.0),
    )
    return np.sqrt(np.sum(np.square(np.maximum(violations, 0.0)), axis=0))


def _try(galaxies: Mapping[str, NDArray], number: NDArray[np.int64], prior: Prior, engine: Engine) -> dict[str, Array]:
    """Return one try for each row: parameters, whether it is accepted, and how bad it is if not."""
    drawn: dict[str, Array] = {name: galaxies[name] for name in ("redshift", "log_mstar")}
    random = np.empty((len(number), len(_DRAWN)))
    for value in np.unique(number):
        rows, first = number == value, _FIRST_TRY + len(_DRAWN) * int(value)
        galaxy_id, realisation = galaxies["galaxy_id"][rows], galaxies["realisation"][rows]
        random[rows] = uniforms(prior.seed, Stage.QUIESCENT, galaxy_id, len(_DRAWN), first, realisation)
    for name, uniform in zip(_DRAWN, random.T, strict=True):
        drawn[name] = draw(name, prior.sampling[name], uniform, drawn, True, prior.cosmo, prior.scatter)
    within = engine.clip_log_zmet(drawn["log_zmet"])
    drawn["zmet_clipped"], drawn["log_zmet"] = within != drawn["log_zmet"], within
    log_ssfr = galaxies["prop_log_sfr"] - galaxies["log_mstar"]
    mass_fraction = np.full(len(number), 0.6)
    for _ in range(3):  # the surviving fraction moves by a few per cent with tau
        drawn["tau"] = solve_tau(drawn["age"], mass_fraction * 10.0 ** (log_ssfr + 9.0), engine.model.sfh)
        derived = engine.derived(drawn["age"], drawn["tau"], drawn["log_zmet"], -4.0, drawn["dust2"], nebular=False)
        mass_fraction = derived.mass_fraction
    drawn["missed_sfr"] = np.maximum(np.abs(derived.log_ssfr - log_ssfr) - SFR_TOLERANCE, 0.0)
    drawn["outside"] = outside(derived.uv, derived.vj, prior.box)
    accepted = (drawn["missed_sfr"] == 0.0) & in_box(derived.uv, derived.vj, prior.box)
    return drawn | {"accepted": accepted}


def assign(
    galaxies: Mapping[str, NDArray], prior: Prior, engine: Engine, progress: Progress | None = None
) -> dict[str, NDArray]:
    """Draw the FSPS parameters of quiescent galaxies.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, ``redshift``, ``log_mstar``, and ``realisation``, by default 0.
    prior : Prior
        What to draw from, and how often.
    engine : Engine
        The stellar population model.
    progress : Progress, optional
        Told of the galaxies that are done.

    Returns
    -------
    dict of ndarrays of shape (n, )
        ``prop_log_sfr``, the parameters ``age``, ``tau``, ``log_zmet``, ``dust2``, and ``flags``. Where no try was
        accepted, the best one is kept: the one nearest to its SFR, of those that have it the one nearest to the box.

    """
    n = len(galaxies["galaxy_id"])
    galaxies = {"realisation": np.zeros(n, np.int64)} | dict(galaxies)
    galaxies["prop_log_sfr"] = propose_log_sfr(
        galaxies["galaxy_id"], galaxies["log_mstar"], galaxies["redshift"], prior, galaxies["realisation"]
    )
    names = ("age", "tau", "log_zmet", "dust2", "missed_sfr", "outside", "zmet_clipped")
    best = {name: np.full(n, np.inf) for name in names}
    left, done = np.arange(n), 0
    while done < prior.max_tries and len(left):
        tries = min(max(_BATCH // len(left), 1), prior.max_tries - done, 16)
        rows = np.repeat(left, tries)
        number = np.tile(np.arange(done, done + tries), len(left))
        result = _try({key: value[rows] for key, value in galaxies.items()}, number, prior, engine)
        shaped = {key: value.reshape(len(left), tries) for key, value in result.items()}
        # the first accepted try, or else the best one so far
        first = np.argmax(shaped["accepted"], axis=1)
        accepted = shaped["accepted"].any(axis=1)
        rank = np.lexsort((shaped["outside"], shaped["missed_sfr"]))[:, 0]
        chosen = np.where(accepted, first, rank)[:, None]
        values = {name: np.take_along_axis(shaped[name], chosen, 1)[:, 0] for name in names}
        sooner = (best["missed_sfr"][left], best["outside"][left])
        better = (values["missed_sfr"] < sooner[0]) | (
            (values["missed_sfr"] == sooner[0]) & (values["outside"] < sooner[1])
        )
        take = accepted | better
        for name in names:
            best[name][left[take]] = values[name][take]
        best["missed_sfr"][left[accepted]], best["outside"][left[accepted]] = 0.0, 0.0
        if progress:
            progress.update(int(accepted.sum()))
        left, done = left[~accepted], done + tries
    if progress:
        progress.update(len(left))
    bits = {Flag.UVJ_NOT_ACCEPTED: "outside", Flag.SFR_NOT_REACHED: "missed_sfr", Flag.ZMET_CLIPPED: "zmet_clipped"}
    flags = np.sum([bit * (best[name] > 0.0) for bit, name in bits.items()], axis=0)
    return {
        "prop_log_sfr": galaxies["prop_log_sfr"],
        **{name: best[name] for name in ("age", "tau", "log_zmet", "dust2")},
        "flags": flags.astype(np.int32),
    }
