"""Plots of a finished catalogue against the relations, and the numbers behind them.

Each plot is a module of its name with ``COLUMNS`` and ``PARENT_COLUMNS`` (what it reads), ``measure`` (numbers only)
and ``draw`` (a figure of these numbers). `summary` reads what they need and measures all of them.
"""

from typing import NamedTuple


class Plot(NamedTuple):
    """What the workflow needs to know of a plot, without loading its module and matplotlib."""

    caption: str
    """What it shows and what to look for: the caption in the report and the text of docs/plots.md."""
    needs_parent: bool = False
    """Whether it shows the star-forming parent catalogue."""
    needs_model: bool = False
    """Whether it computes spectra, from the SSP table."""


PLOTS = {
    "muv": Plot(
        """\
UV magnitude against stellar mass (upper rows) and UV slope against UV magnitude (lower rows) of star-forming
galaxies, a column per redshift bin. The line is the median, the band holds 16 to 84 %, and bins too sparse for a
median show single galaxies. Dotted: the median of the relations of the run at the redshifts and masses of the same
galaxies. Medians should lie on the dotted lines. Gray: masses below the range of the relation, and magnitudes at
which many galaxies are near the lowest mass of the catalogue; fainter galaxies of lower mass are missing there, so
the medians are biased.""",
    ),
    "sfr_mass": Plot(
        """\
Star-formation rate against stellar mass of star-forming (blue) and quiescent (orange) galaxies, a panel per
redshift bin. Lines are medians, bands hold 16 to 84 %, and bins too sparse for a median show single galaxies.
Dotted: the median of the relations of the run at the redshifts and masses of the same galaxies. Gray: masses below
the range of the relation of star-forming galaxies. Look for a median that leaves its dotted line at the highest
masses, and for quiescent galaxies above theirs at high redshift.""",
    ),
    "mass_metallicity": Plot(
        """\
Metallicity against stellar mass of star-forming galaxies, a panel per bin of SFR. The line is the median, the band
holds 16 to 84 %, and bins too sparse for a median show single galaxies. Dotted: the median of the relation of the
run at the masses, SFRs and redshifts of the same galaxies. Gray: masses below the range of the relation.
Metallicities are limited to the range of the SSP table, which flattens the median at the highest masses.""",
    ),
    "triangle": Plot(
        """\
The star-forming parent catalogue (gray) and the star-forming galaxies of the catalogue (blue) in eleven quantities,
an even sample of each. Contours hold 39 and 86 % of the points; dashed lines on the diagonal are medians. UV
magnitude and SFR of the parent are for its own stellar mass; a quantity that is constant in the parent, such as the
redshift by default, is shown for the catalogue only. Galaxies must lie inside the parent, since each has taken one
of its points.""",
        needs_parent=True,
    ),
    "uvj": Plot(
        """\
Left: rest-frame U-V against V-J of star-forming galaxies (density) and quiescent ones (points) with the box of
Williams et al. (2009). Right: the fraction of each class inside the box by redshift, with its 68 % interval and the
number of quiescent galaxies. Quiescent galaxies should be inside, since their parent has no other points, unless
the universe is too young for red colours (U-V of 1.3 takes about half a Gyr without star formation).""",
    ),
    "assignment": Plot(
        """\
The quantities of each galaxy against those drawn from the relations, with the 1:1 line and the median offset
(result minus draw) with its 16 to 84 % range; the distribution of the distance between the two in the metric of the
run; and the residuals of UV magnitude and UV slope from their relations. A galaxy takes one of the models near its
draw, so that points scatter around the 1:1 line as these models do; slopes below -2.3 are bluer than any model. The
residuals should be uncorrelated; the coefficient is for fixed redshift and mass, above 3e8 Msun.""",
    ),
    "ages": Plot(
        """\
Age against redshift with the age of the universe; the galaxies of each class with the flags that any of them has;
and the distributions of age as a fraction of the age of the universe, of log tau and of the slope of the
attenuation curve. Histograms are normalised by class; values beyond their edges count in the outermost bins. No
galaxy may lie above the line. A peak at a fraction of 1 shows ages that were reduced to the limit, and a narrow
peak in log tau shows that an average over neighbours has removed its scatter.""",
    ),
    "spectra": Plot(
        """\
Observed spectra of example galaxies, a panel per redshift: the galaxy of each class that is closest to 2e10 Msun.
Lines are f_nu with dust and intergalactic absorption at the resolution of the SSPs, points are the photometry of
the catalogue, and the curves at the lower edge are the filters. The names of emission lines are at those of the
first galaxy. Points must lie on the spectrum, except where a filter contains lines or breaks, and there must be no
flux below 912 A.""",
        needs_model=True,
    ),
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


_PAGE = """\
# Plots

`snakemake --cores 1 results/<run>/plots/<name>.png` draws a plot of a run.
`results/<run>/summary.json` has the numbers behind all of them.
"""


def markdown() -> str:
    """Return the list of plots (docs/plots.md)."""
    return _PAGE + "".join(f"\n## {name}\n\n{plot.caption}\n" for name, plot in PLOTS.items())
