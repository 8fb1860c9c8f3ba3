"""The quantities that a user's table may give besides redshift and mass, and their spellings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

AV_OF_DUST2 = 2.5 * math.log10(math.e)
"""A_V of an optical depth of 1 at 5500 A [mag]."""

NO_STAR_FORMATION = -8.0
"""log10 of an SFR [Msun/yr] below which there is none: models that have decayed long ago go down to -70, and tables
have -99 or the like for log10 of 0."""


@dataclass(frozen=True)
class Spelling:
    """A kind of column by which a table gives a quantity.

    Attributes
    ----------
    quantity : str
        One of `mocksed.quantities.GIVEN`.
    what : str
        What the values are, with their unit.
    limits : pair of float
        Values that a galaxy can have, inclusive.
    median : pair of float
        Where the median of a sample of galaxies lies.
    cause : str
        What the values are, probably, where they are not within.
    synonyms : tuple of str
        What such columns are called, in lower case.
    never : pair of float
        Between which the values of a sample of galaxies do not all lie.

    """

    quantity: str
    what: str
    limits: tuple[float, float]
    median: tuple[float, float]
    cause: str
    synonyms: tuple[str, ...]
    never: tuple[float, float] = (math.inf, math.inf)


SPELLINGS = {
    "log_sfr": Spelling(
        "log_sfr",
        "log10 of the SFR in Msun/yr",
        (NO_STAR_FORMATION, 5.0),
        (-math.inf, 3.0),
        "name a linear SFR in galaxies.table.columns.sfr, and a specific one in galaxies.table.columns.ssfr",
        ("log_sfr", "logsfr", "lsfr", "log10_sfr", "sfr_log", "lg_sfr"),
        never=(-math.inf, -6.0),
    ),
    "sfr": Spelling(
        "log_sfr",
        "an SFR in Msun/yr, 0 where there is none",
        (10.0**NO_STAR_FORMATION, 1e5),
        (0.0, 1e3),
        "name log10 of an SFR in galaxies.table.columns.log_sfr, that of a specific SFR in galaxies.table.columns.ssfr",
        ("sfr", "sfr_100myr", "sfr_10myr", "subhalosfr", "starformationrate", "star_formation_rate"),
        never=(0.0, 1e-6),
    ),
    "log_zmet": Spelling(
        "log_zmet",
        "log10 of the metallicity in Zsun",
        (-4.0, 1.0),
        (-3.0, 1.0),
        "name 12 + log O/H in galaxies.table.columns.oh12, and convert mass fractions of metals to log10(Z/Zsun)",
        ("log_zmet", "logzmet", "log_z", "logzsol", "metallicity", "zmet", "lmet", "metal", "log_zsun"),
        never=(1e-9, 0.1),
    ),
    "oh12": Spelling(
        "log_zmet",
        "12 + log10 of O/H",
        (4.7, 9.7),
        (6.0, 9.7),
        "name log10(Z/Zsun) in galaxies.table.columns.log_zmet",
        ("oh12", "12logoh", "12_log_oh", "logoh", "log_oh", "logoh12", "oh_12", "12+log(o/h)"),
    ),
    "log_us": Spelling(
        "log_us",
        "log10 of the ionisation parameter",
        (-6.0, 0.0),
        (-5.0, -0.5),
        "if they are linear, take their log10",
        ("log_us", "logu", "log_u", "logus", "gas_logu"),
    ),
    "muv": Spelling(
        "muv",
        "an absolute AB magnitude in the UV",
        (-30.0, 0.0),
        (-28.0, -3.0),
        "apparent magnitudes must be converted",
        ("muv", "m_uv", "m1500", "m_1500", "absmag_uv", "mag_uv_abs", "muv_abs"),
    ),
    "beta": Spelling(
        "beta",
        "a UV slope",
        (-6.0, 6.0),
        (-4.0, 4.0),
        "the slope is that of f_lambda against wavelength",
        ("beta", "beta_uv", "uv_slope", "uvslope", "betauv"),
    ),
    "dust2": Spelling(
        "dust2",
        "an optical depth at 5500 A of 0 or more",
        (0.0, 10.0),
        (0.0, 5.0),
        "name A_V in galaxies.table.columns.av",
        ("dust2", "tau_v", "tauv"),
    ),
    "av": Spelling(
        "dust2",
        "A_V in mag of 0 or more",
        (0.0, 11.0),
        (0.0, 5.5),
        "name an optical depth in galaxies.table.columns.dust2",
        ("av", "a_v", "avdust"),
    ),
    "age": Spelling(
        "age",
        "a time since the start of star formation in Gyr, above 0",
        (1e-4, 14.0),
        (1e-3, 14.0),
        "are they in yr or Myr, or log10 of them? Convert them to Gyr",
        ("age", "age_gyr", "tage", "galaxy_age"),
    ),
}
"""What a table may give: key of the config's ``galaxies.table.columns`` to what is expected in the column."""

ERROR = "_error"
"""How the key of the column with the standard errors ends."""


def of_config(galaxies: Mapping[str, Any]) -> list[str]:
    """Return the quantities that the table of the config's ``galaxies`` gives, in the order of `SPELLINGS`."""
    named = galaxies["table"]["columns"] if galaxies["source"] == "table" else {}
    return list(dict.fromkeys(spelling.quantity for role, spelling in SPELLINGS.items() if named.get(role) is not None))


def to_quantity(role: str, values: Array, oh12_solar: float, sfr_offset: float) -> Array:
    """Return the quantity of a column that spells it in another way.

    Parameters
    ----------
    role : str
        Key of `SPELLINGS`.
    values : ndarray
        Of the column. An SFR of 0 gives -inf.
    oh12_solar : float
        12 + log O/H of the sun.
    sfr_offset : float
        Added to log10 of SFRs, for another IMF [dex].

    """
    match role:
        case "sfr":
            return np.log10(values, out=np.full(values.shape, -np.inf), where=values > 0.0) + sfr_offset
        case "log_sfr":
            return values + sfr_offset
        case "oh12":
            return values - oh12_solar
        case "av":
            return values / AV_OF_DUST2
        case _:
            return values


def to_error(role: str, errors: Array, values: Array) -> Array:
    """Return the standard errors of `to_quantity`, to first order; ``errors`` and ``values`` are those of the table."""
    match role:
        case "sfr":
            return np.divide(errors, math.log(10.0) * values, out=np.full(values.shape, np.nan), where=values > 0.0)
        case "av":
            return errors / AV_OF_DUST2
        case _:
            return errors


def looks_like(name: str) -> str | None:
    """Return the key of the quantity that a column is, by its name, None where it does not tell."""
    return next((role for role, spelling in SPELLINGS.items() if name.lower() in spelling.synonyms), None)
