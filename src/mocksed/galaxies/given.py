"""The quantities that a user's table may give besides redshift and mass, and the columns that can give each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

AV_OF_DUST2 = 2.5 * math.log10(math.e)
"""A_V [mag] for an optical depth of 1 at 5500 A, 2.5 log10(e)."""

NO_STAR_FORMATION = -8.0
"""log10 of an SFR [Msun/yr] below which it counts as 0: star-formation histories that decayed long ago reach -70, and
tables write -99 or the like for log10 of 0."""


@dataclass(frozen=True)
class Spelling:
    """A way in which a column of a table can give a quantity, such as log10 of the SFR or the SFR itself.

    Attributes
    ----------
    quantity : str
        One of `mocksed.quantities.GIVEN`.
    what : str
        What the values are, with their unit, for messages.
    limits : pair of float
        Lowest and highest value that a galaxy can have, inclusive.
    median : pair of float
        Limits, inclusive, within which the median of any sample of galaxies lies.
    hint : str
        What to do if values or their median are outside: it names what they probably are instead.
    synonyms : tuple of str
        Usual names of such columns, in lower case.
    never_within : pair of float
        Limits, inclusive, within which the values of a sample of galaxies cannot all lie.

    """

    quantity: str
    what: str
    limits: tuple[float, float]
    median: tuple[float, float]
    hint: str
    synonyms: tuple[str, ...]
    never_within: tuple[float, float] = (math.inf, math.inf)


SPELLINGS = {
    "log_sfr": Spelling(
        "log_sfr",
        "log10 of the SFR in Msun/yr",
        (NO_STAR_FORMATION, 5.0),
        (-math.inf, 3.0),
        "name a linear SFR in galaxies.table.columns.sfr, and a specific one in galaxies.table.columns.ssfr",
        ("log_sfr", "logsfr", "lsfr", "log10_sfr", "sfr_log", "lg_sfr"),
        never_within=(-math.inf, -6.0),
    ),
    "sfr": Spelling(
        "log_sfr",
        "an SFR in Msun/yr, 0 where there is none",
        (10.0**NO_STAR_FORMATION, 1e5),
        (0.0, 1e3),
        "name log10 of an SFR in galaxies.table.columns.log_sfr, that of a specific SFR in galaxies.table.columns.ssfr",
        ("sfr", "sfr_100myr", "sfr_10myr", "subhalosfr", "starformationrate", "star_formation_rate"),
        never_within=(0.0, 1e-6),
    ),
    "log_zmet": Spelling(
        "log_zmet",
        "log10 of the metallicity in Zsun",
        (-4.0, 1.0),
        (-3.0, 1.0),
        "name 12 + log O/H in galaxies.table.columns.oh12, and convert mass fractions of metals to log10(Z/Zsun)",
        ("log_zmet", "logzmet", "log_z", "logzsol", "metallicity", "zmet", "lmet", "metal", "log_zsun"),
        never_within=(1e-9, 0.1),
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
"""What a table may give: from the key in the config's ``galaxies.table.columns`` to what the column should hold."""

ERROR = "_error"
"""Ending of the config's key for the column with the standard errors of a quantity: ``sfr_error`` for ``sfr``."""


def of_config(galaxies: Mapping[str, Any]) -> list[str]:
    """Return the quantities that the table of the config's ``galaxies`` gives, in the order of `SPELLINGS`."""
    named = galaxies["table"]["columns"] if galaxies["source"] == "table" else {}
    return list(dict.fromkeys(spelling.quantity for role, spelling in SPELLINGS.items() if named.get(role) is not None))


def to_quantity(role: str, values: Array, oh12_solar: float, sfr_offset: float) -> Array:
    """Return the values of a column, converted to the quantity that it gives.

    Parameters
    ----------
    role : str
        Key of `SPELLINGS`.
    values : ndarray
        Values of the column, in the unit that `SPELLINGS` names.
    oh12_solar : float
        12 + log10(O/H) of the sun.
    sfr_offset : float
        Added to log10 of SFRs to convert them to another IMF [dex].

    Returns
    -------
    ndarray of the shape of ``values``
        An SFR of 0 or less becomes -inf.

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
    """Return the standard errors of what `to_quantity` returns, to first order.

    Parameters
    ----------
    role : str
        Key of `SPELLINGS`.
    errors, values : ndarray of one shape
        Standard errors and values of the column, as in the table.

    Returns
    -------
    ndarray of the same shape
        NaN for an SFR of 0 or less, whose logarithm has no error.

    """
    match role:
        case "sfr":
            return np.divide(errors, math.log(10.0) * values, out=np.full(values.shape, np.nan), where=values > 0.0)
        case "av":
            return errors / AV_OF_DUST2
        case _:
            return errors


def looks_like(name: str) -> str | None:
    """Return the key of `SPELLINGS` that the name of a column suggests, None if it suggests none."""
    return next((role for role, spelling in SPELLINGS.items() if name.lower() in spelling.synonyms), None)
