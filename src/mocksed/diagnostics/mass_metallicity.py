"""Metallicity against stellar mass in bins of SFR, of star-forming galaxies."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed.diagnostics import bins, panels, style
from mocksed.diagnostics.catalogue import Sample
from mocksed.diagnostics.settings import Settings
from mocksed.realisations import COLUMN

COLUMNS = ("redshift", "log_mstar", "quiescent", "log_sfr", "log_zmet")
PARENT_COLUMNS: tuple[str, ...] = ()

SFR_BIN = 1.0
"""Width of the bins in log SFR [dex]."""


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return log Z in bins of log mass for each bin of log SFR.

    The relation says nothing of quiescent galaxies, whose metallicity is drawn. SFRs beyond the outermost 0.5 % on
    either side have no panel.

    Returns
    -------
    dict
        ``star_forming``: list of dict, see `mocksed.diagnostics.bins.relation_panels`.

    """
    galaxies = sample.star_forming
    log_sfr, log_mstar, log_zmet = (galaxies[name] for name in ("log_sfr", "log_mstar", "log_zmet"))
    sfr_edges, mass_edges = _sfr_edges(log_sfr), bins.edges(log_mstar, settings.mass_bin)
    return {
        "star_forming": bins.relation_panels(
            log_sfr,
            log_mstar,
            log_zmet,
            sfr_edges,
            mass_edges,
            settings.run_relations.log_zmet.mean,
            settings.min_count * sample.n_realisations,
            galaxies.get(COLUMN),
            (galaxies["redshift"],),
        )
    }


def _sfr_edges(log_sfr: NDArray) -> NDArray[np.float64]:
    finite = log_sfr[np.isfinite(log_sfr)]
    return bins.edges(np.percentile(finite, [0.5, 99.5]) if finite.size else finite, SFR_BIN)


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw log Z against log mass, a panel per bin of log SFR."""
    galaxies = sample.star_forming
    drawn, grid = panels.grid(len(measured["star_forming"]))
    members = bins.slices(galaxies["log_sfr"], _sfr_edges(galaxies["log_sfr"]))
    for (axes,), (_, _, inside), panel in zip(grid, members, measured["star_forming"], strict=False):
        x, y = galaxies["log_mstar"][inside], galaxies["log_zmet"][inside]
        panels.draw(axes, panel, x, y, style.STAR_FORMING, settings.relation_name("log_zmet"))
        panels.title(axes, panel, r"$\log\,\psi$")
    panels.label(grid, 0, style.LABELS["log_mstar"], style.LABELS["log_zmet"])
    first = grid[0][0]
    first.set_xlim(style.span(galaxies["log_mstar"]))
    for (axes,) in grid:
        panels.shade_below(axes, settings.least_log_mstar("log_zmet"))
    if not measured["star_forming"]:
        style.note(first, "no star-forming galaxies")
    style.legend_below(drawn)
    return drawn
