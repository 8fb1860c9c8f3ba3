"""Stellar masses and star-formation rates of one initial mass function in those of another."""

import math

SALPETER_TO: dict[str, tuple[float, float]] = {
    "salpeter": (1.0, 1.0),
    "kroupa": (0.66, 0.67),
    "chabrier": (0.61, 0.63),
}
"""Factors by which masses and SFRs of a Salpeter IMF are multiplied (Madau & Dickinson 2014, section 3.1)."""


def mass_offset(from_imf: str, to_imf: str = "chabrier") -> float:
    """Return what is added to log10 of a stellar mass [dex]; names are those of `SALPETER_TO`."""
    return math.log10(SALPETER_TO[to_imf][0] / SALPETER_TO[from_imf][0])


def sfr_offset(from_imf: str, to_imf: str = "chabrier") -> float:
    """Return what is added to log10 of a star-formation rate [dex]; names are those of `SALPETER_TO`."""
    return math.log10(SALPETER_TO[to_imf][1] / SALPETER_TO[from_imf][1])
