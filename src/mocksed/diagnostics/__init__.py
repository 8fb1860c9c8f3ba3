"""Plots of a finished catalogue against the relations, and the numbers behind them.

Each plot is a module of its name with ``COLUMNS`` and ``PARENT_COLUMNS`` (what it reads), ``measure`` (numbers only)
and ``draw`` (a figure of these numbers). `summary` reads what they need and measures all of them.
"""

from typing import NamedTuple


class Plot(NamedTuple):
    """What the workflow needs to know of a plot, without loading its module and matplotlib."""

    needs_parent: bool = False
    """Whether it shows the star-forming parent catalogue."""
    needs_model: bool = False
    """Whether it computes spectra, from the SSP table."""


PLOTS = {
    "muv": Plot(),
    "sfr_mass": Plot(),
    "mass_metallicity": Plot(),
    "triangle": Plot(needs_parent=True),
    "uvj": Plot(),
    "assignment": Plot(),
    "ages": Plot(),
    "spectra": Plot(needs_model=True),
}
"""Every plot of a run by its name, that of its module and of its files."""

COMPARISONS = ("offsets", "muv", "beta", "sfr_mass", "mass_metallicity", "uvj")
"""The figures of a run beside other runs (`mocksed.diagnostics.comparison`)."""

SKY = (
    "uv_luminosity_function",
    "k_luminosity_function",
    "stellar_mass_function",
    "sfr_density",
    "number_counts",
    "a_uv",
    "v_j",
    "dusty_share",
    "uv_slope",
    "quiescent_share",
    "halpha_luminosity_function",
    "oiii_hbeta_luminosity_function",
    "line_counts",
    "oiii_hbeta",
    "bpt",
    "equivalent_width",
)
"""The figures of the card of the sky, one for each observable (`mocksed.diagnostics.sky`)."""
