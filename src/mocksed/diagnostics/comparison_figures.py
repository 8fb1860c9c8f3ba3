"""The figures of several runs of the same galaxies side by side (`mocksed.diagnostics.comparison` has the numbers)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mocksed.diagnostics import panels, style, uvj
from mocksed.diagnostics.catalogue import Sample
from mocksed.diagnostics.comparison import CHECKS, OFFSET_LIMITS, QUIESCENT_SFR, Row
from mocksed.diagnostics.settings import Settings


@dataclass(frozen=True)
class Run:
    """A run as it is drawn."""

    sample: Sample
    settings: Settings
    measured: Mapping[str, Any]
    """Results of `mocksed.diagnostics.comparison.measure_plots`."""
    rows: Sequence[Row]


@dataclass(frozen=True)
class _Panels:
    """A diagnostic of `bins.relation_panels`: where its panels are, and columns of its axes and of its bins."""

    diagnostic: str
    keys: Mapping[str, str]  # class to its key in the diagnostic's numbers
    x: str
    y: str
    condition: str
    condition_label: str = "$z$"


_SF_ONLY = {"star_forming": "star_forming"}
_PANELS = {
    "muv": _Panels("muv", {"star_forming": "muv"}, "log_mstar", "muv", "redshift"),
    "beta": _Panels("muv", {"star_forming": "beta"}, "muv", "beta", "redshift"),
    "sfr_mass": _Panels(
        "sfr_mass", {name: name for name in ("star_forming", "quiescent")}, "log_mstar", "log_sfr", "redshift"
    ),
    "mass_metallicity": _Panels("mass_metallicity", _SF_ONLY, "log_mstar", "log_zmet", "log_sfr", r"$\log\,\psi$"),
}
_CELL = (2.3, 2.1)  # inches
_RUN_COLOURS = (style.STAR_FORMING, "#E69F00", "#CC79A7", "#009E73")  # Okabe & Ito (2008)


@style.styled
def _draw_panels(runs: Mapping[str, Run], what: _Panels) -> Figure:
    """Draw a row of panels for each run, a column for each bin of the condition, all on the same axes."""
    found = {
        name: {cls: run.measured[what.diagnostic][key] for cls, key in what.keys.items()} for name, run in runs.items()
    }
    columns = sorted({(p["low"], p["high"]) for classes in found.values() for ps in classes.values() for p in ps})
    n_columns = max(len(columns), 1)
    drawn = style.figure(n_columns * _CELL[0] + 0.8, len(runs) * _CELL[1] + 0.8)
    cells = drawn.subplots(len(runs), n_columns, sharex=True, sharey=True, squeeze=False)
    for line, (name, run) in zip(cells, runs.items(), strict=True):
        for cls, its_panels in found[name].items():
            galaxies = getattr(run.sample, cls)
            for panel in its_panels:
                inside = (galaxies[what.condition] >= panel["low"]) & (galaxies[what.condition] <= panel["high"])
                panels.draw(
                    line[columns.index((panel["low"], panel["high"]))],
                    panel,
                    galaxies[what.x][inside],
                    galaxies[what.y][inside],
                    style.CLASS_COLOURS[cls],
                    run.settings.relation_name(what.y, quiescent=cls == "quiescent"),
                    style.CLASS_NAMES[cls] if len(what.keys) > 1 else None,
                )
        line[0].set_ylabel(f"{name}\n{style.LABELS[what.y]}")
    for axes, (low, high) in zip(cells[0], columns, strict=False):
        axes.set_title(f"{low:g} < {what.condition_label} < {high:g}")
    for axes in cells[-1]:
        axes.set_xlabel(style.LABELS[what.x])
    shown = [getattr(run.sample, cls) for run in runs.values() for cls in what.keys]
    xlim, ylim = (style.limits(*(galaxies[axis] for galaxies in shown)) for axis in (what.x, what.y))
    cells[0, 0].set(xlim=xlim, ylim=ylim[::-1] if what.y == "muv" else ylim)
    style.legend_below(drawn)
    return drawn


@style.styled
def _draw_uvj(runs: Mapping[str, Run]) -> Figure:
    """Draw the colours above the fractions in the box, a column for each run."""
    drawn = style.figure(4.3 * len(runs), 8.0)
    upper, lower = drawn.subplots(2, len(runs), sharex="row", sharey="row", squeeze=False)
    limits = np.array([uvj.colour_limits(run.sample) for run in runs.values()])  # run, quantity, end
    xlim, ylim = ((limits[:, i, 0].min(), limits[:, i, 1].max()) for i in (0, 1))
    for colours, fractions, (name, run) in zip(upper, lower, runs.items(), strict=True):
        uvj.draw_colours(colours, run.sample, run.measured["uvj"], xlim, ylim)
        uvj.draw_fractions(fractions, run.measured["uvj"], run.settings)
        colours.set_title(name)
    for axes in (*upper[1:], *lower[1:]):
        axes.set_ylabel("")
    style.legend_below(drawn)
    return drawn


@style.styled
def _draw_offsets(runs: Mapping[str, Run]) -> Figure:
    """Draw the offsets from the relations of every bin, with the targets."""
    drawn = style.figure(10.5, 6.8)
    cells = drawn.subplots(2, 3).ravel()
    for axes, name in zip(cells, OFFSET_LIMITS, strict=False):
        _draw_bins(axes, runs, "offset", name, OFFSET_LIMITS[name])
        axes.set_ylabel(f"offset of {style.LABELS[name]}")
    _draw_bins(cells[-1], runs, "quiescent SFR", "log_sfr", QUIESCENT_SFR)
    cells[-1].set_ylabel(f"quiescent: offset of {style.LABELS['log_sfr']}")
    style.legend_below(drawn)
    return drawn


def _draw_bins(axes: Axes, runs: Mapping[str, Run], check: str, quantity: str, limit: float) -> None:
    rows_of = {
        name: [row for row in run.rows if (row.check, row.quantity) == (check, quantity)] for name, run in runs.items()
    }
    edges = sorted({row.redshift for rows in rows_of.values() for row in rows if row.redshift})
    axes.axhspan(-limit, limit, color="0.9", lw=0, label="target")
    axes.axhline(0.0, ls=":", color=style.RELATION, lw=1.8, label="relation")
    for i, ((name, rows), colour) in enumerate(zip(rows_of.items(), _RUN_COLOURS, strict=False)):
        rows = [row for row in rows if row.redshift and row.count >= CHECKS[check].min_count]
        x = np.array([edges.index(row.redshift) for row in rows if row.redshift], float)
        shift = 0.24 * (i - 0.5 * (len(runs) - 1))
        axes.errorbar(
            x + shift, [row.value for row in rows], [row.error for row in rows], fmt="o", ms=4, lw=1, color=colour,
            label=name,
        )  # fmt: skip
    axes.set_xticks(range(len(edges)), [f"{low:g}\N{EN DASH}{high:g}" for low, high in edges])
    axes.set_xlabel(style.LABELS["redshift"])


def _panels_of(what: _Panels) -> Callable[[Mapping[str, Run]], Figure]:
    return lambda runs: _draw_panels(runs, what)


FIGURES: dict[str, Callable[[Mapping[str, Run]], Figure]] = {
    "offsets": _draw_offsets,
    **{name: _panels_of(what) for name, what in _PANELS.items()},
    "uvj": _draw_uvj,
}
"""Every figure of some runs, by the name of its file; runs by the name in the figure."""
