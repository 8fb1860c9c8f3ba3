"""The galaxies of a run as a survey has them: of some area, between redshifts, down to some mass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed import imf
from mocksed.cosmology import Cosmology, comoving_distance
from mocksed.diagnostics import bins
from mocksed.diagnostics.catalogue import Arrays, Sample, select
from mocksed.galaxies.lightcone import FULL_SKY_DEG2, LightCone
from mocksed.realisations import COLUMN
from mocksed.sky import variance

Array = NDArray[np.float64]

NEAR_MASS, NEAR_REDSHIFT, SHARE_NEAR = 0.25, 0.1, 0.15
"""A bin is cut by a limit of the catalogue if more than this share of its galaxies is this near to it [dex, of 1 + z]:
of a normal distribution that reaches 2 standard deviations beyond the limit, 2 per cent are then missing."""

_LEAST_OF_WINDOW = 0.5  # of a bin in redshift, that the catalogue must have
_IMFS = {0: "salpeter", 1: "chabrier", 2: "kroupa"}  # FSPS's imf_type


@dataclass(frozen=True)
class Mock:
    """Galaxies of a run, and what has to be known of them to count them.

    Attributes
    ----------
    galaxies : dict of str to ndarray of shape (n, )
        Columns of the catalogue, of all realisations.
    cosmo : Cosmology
        Of volumes.
    area : float, optional
        Solid angle [deg^2]; None where the run does not say it, and nothing is counted.
    redshift : tuple of float
        Limits of the catalogue, or of a part of it.
    log_mstar : float
        Least log10 of the stellar mass that the catalogue has [Msun].
    weight : float
        Galaxies of the catalogue that each of these stands for.
    imf : str
        Of masses and SFRs, of `mocksed.imf.SALPETER_TO`.
    min_count : int
        Galaxies, on average over realisations, without which a bin has no value.
    n_realisations : int
        The number of realisations that the galaxies are of.

    """

    galaxies: Arrays
    cosmo: Cosmology
    area: float | None
    redshift: tuple[float, float]
    log_mstar: float
    weight: float = 1.0
    imf: str = "chabrier"
    min_count: int = 20
    n_realisations: int = 1

    def __getitem__(self, column: str) -> Array:
        return self.galaxies[column]

    @property
    def realisation(self) -> bins.Realisation:
        """The realisation of each galaxy, None where all are of one."""
        return self.galaxies.get(COLUMN)

    @property
    def quiescent(self) -> NDArray[np.bool_]:
        """Which galaxies are quiescent."""
        return self.galaxies["quiescent"].astype(bool)

    @property
    def star_forming(self) -> Mock:
        """The star-forming galaxies."""
        return self.where(~self.quiescent)

    def where(self, rows: NDArray[np.bool_]) -> Mock:
        """Return some of the galaxies."""
        return replace(self, galaxies=select(self.galaxies, rows))

    def between(self, low: float, high: float) -> Mock:
        """Return the galaxies between two redshifts, with the limits that these and the catalogue have in common."""
        z = self["redshift"]
        limits = (max(low, self.redshift[0]), min(high, self.redshift[1]))
        return replace(self.where((z >= low) & (z < high)), redshift=limits)

    def why_not(self, low: float, high: float) -> str:
        """Return why a bin in redshift cannot be shown, nothing if it can."""
        first, last = self.redshift
        if min(high, last) - max(low, first) < _LEAST_OF_WINDOW * (high - low):
            return f"the catalogue is at {first:.3g} < z < {last:.3g}"
        return ""

    def volume(self) -> float:
        """Return the comoving volume between the limits of redshift [Mpc^3].

        Raises
        ------
        ValueError
            If the area is not known.

        """
        if self.area is None:
            raise ValueError("there is no volume without an area")
        near, far = comoving_distance(self.cosmo, self.redshift)
        return float(self.area / FULL_SKY_DEG2 * 4.0 / 3.0 * np.pi * (far**3 - near**3))

    def cosmic_variance(self) -> float:
        """Return how far counts of galaxies in one such field on the sky scatter beyond Poisson noise, over their mean.

        See `mocksed.sky.variance.of_field`. It is that of a square of the sky; whether the galaxies of a run are
        clustered is another matter: those of a light cone are not.
        """
        return float(variance.of_field(self.cosmo, self.area, *self.redshift)) if self.area else np.nan

    def cut(self, values: Array, edges: Array, by_redshift: bool = False) -> NDArray[np.bool_]:
        """Return which bins of a quantity lack galaxies that the catalogue does not have.

        Those are of less mass or, ``by_redshift``, nearer by or further away.
        """
        near = self["log_mstar"] < self.log_mstar + NEAR_MASS
        if by_redshift:
            z, (first, last) = self["redshift"], self.redshift
            near |= (z < first + NEAR_REDSHIFT) & (first > 0.0) | (z > last - NEAR_REDSHIFT * (1.0 + last))
        return bins.crowded(values, near, edges, SHARE_NEAR, self.min_count * self.n_realisations)


def of_sample(
    sample: Sample, about: Mapping[str, Any], limits: Mapping[str, Any], min_count: int, area: float | None = None
) -> Mock:
    """Return the mock of a sample of a catalogue.

    Parameters
    ----------
    sample : Sample
        Of the catalogue.
    about : mapping
        What the files of the catalogue say of the run (`mocksed.files.provenance.of_file`).
    limits : mapping
        ``redshift`` and ``log_mstar`` that the config lets into the catalogue. Where less than 1 % of the galaxies are
        below a mass, which a user's table may reach by exception, that is the limit.
    min_count : int
        See `Mock`.
    area : float, optional
        Of a user's table [deg^2]; a light cone knows its own.

    """
    cosmo, made_of = Cosmology(**about["cosmology"]), about["galaxies"]
    if made_of["source"] == "lightcone":
        of_cone = dict(made_of["lightcone"])
        mass_functions = of_cone.pop("mass_functions")
        area = LightCone.from_config(of_cone, cosmo, about["seed"], mass_functions).area_deg2
    masses, z = sample.galaxies["log_mstar"], sample.galaxies["redshift"]
    least = float(limits["log_mstar"][0])
    redshift = tuple(map(float, limits["redshift"]))
    if made_of["source"] == "table" and len(masses):
        least = max(least, float(np.percentile(masses, 1.0)))
        redshift = (max(redshift[0], float(z.min())), min(redshift[1], float(z.max())))
    return Mock(
        galaxies=sample.galaxies, cosmo=cosmo, area=area, redshift=(redshift[0], redshift[1]), log_mstar=least,
        weight=sample.n_catalogue / max(len(masses), 1), imf=imf_of(about), min_count=min_count,
        n_realisations=sample.n_realisations,
    )  # fmt: skip


def imf_of(about: Mapping[str, Any]) -> str:
    """Return the initial mass function of a catalogue, by what its files say of the SSP table or of FSPS."""
    of = about.get("ssp_table") or about.get("fsps") or {}
    name = _IMFS.get(of.get("imf_type", 1), "chabrier")
    assert name in imf.SALPETER_TO
    return name
