"""All observables of a catalogue: their panels, figures, numbers and the table of scores."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mocksed import sky
from mocksed.diagnostics import catalogue, panels, style
from mocksed.diagnostics.sky.in_bins import Tables
from mocksed.diagnostics.sky.mock import Mock, of_sample
from mocksed.diagnostics.sky.observables import OBSERVABLES, panels_of
from mocksed.diagnostics.sky.panels import Panel
from mocksed.diagnostics.sky.scores import overall
from mocksed.files import provenance, storage

Card = dict[str, list[Panel]]

_NEEDED = ("redshift", "log_mstar", "quiescent")
# Okabe & Ito (2008), and three of Tol (2021)
_PAPERS = (
    "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#44AA99", "#332288", "#999933",
)  # fmt: skip
_MARKERS = "osD^v<>"
_FAR = 1e3  # beyond any axis


def columns(there: Sequence[str]) -> list[str]:
    """Return the columns to read, of those that a catalogue has."""
    wanted = [name for one in OBSERVABLES.values() for name in (*one.columns, *one.optional)]
    return [*_NEEDED, *(name for name in dict.fromkeys(wanted) if name in there)]


def read(
    paths: Sequence[Path | str], limits: Mapping[str, Any], max_galaxies: int, min_count: int, area: float | None = None
) -> Mock:
    """Return the mock that the shards of a catalogue are.

    Parameters
    ----------
    paths : sequence of path
        The shards, in order.
    limits : mapping
        ``redshift`` and ``log_mstar`` that the config lets into the catalogue.
    max_galaxies : int
        Rows that are read; of more, an even sample.
    min_count : int
        Galaxies without which a bin has no value.
    area : float, optional
        Of a user's table [deg^2].

    Raises
    ------
    UserError
        If a file is missing or damaged.

    """
    with storage.open_table(paths[0]) as file:
        there = file.schema_arrow.names
    galaxies = catalogue.read(paths, columns(there), max_galaxies)
    sample = catalogue.Sample(galaxies, n_catalogue=catalogue.count_rows(paths))
    return of_sample(sample, provenance.of_file(paths[0]), limits, min_count, area)


def measure(mock: Mock, folder: str | Path = sky.observed.FOLDER) -> Card:
    """Return the panels of every observable, beside the tables of a folder."""
    tables: Tables = {
        name: [one.converted(mock.imf, mock.cosmo) for one in of] for name, of in sky.by_observable(folder).items()
    }
    return {name: panels_of(name, mock, tables) for name in OBSERVABLES}


def summary(card: Card) -> dict[str, Any]:
    """Return the numbers of a card: of each observable what `overall` says, its ``unit``, and its ``bins``."""
    return {
        name: {
            "title": OBSERVABLES[name].title,
            "unit": OBSERVABLES[name].unit,
            **overall([panel.score for panel in of]),
            "bins": [panel.numbers() for panel in of],
        }
        for name, of in card.items()
    }


@style.styled
def draw(name: str, of: Sequence[Panel]) -> Figure:
    """Return the figure of an observable."""
    observable = OBSERVABLES[name]
    drawn, grid = panels.grid(len(of))
    colours = _looks(of)
    for (axes,), panel in zip(grid, of, strict=True):
        if panel.why:
            axes.set_title(panel.title, loc="left", fontsize=9)
            _say_why(axes, panel.why)
        else:
            _draw(axes, panel, colours, observable.unit)
    panels.label(grid, 0, observable.x, observable.y)
    shown = [panel for panel in of if not panel.why]
    if shown:
        _set_limits(grid[0][0], shown)
    drawn.suptitle(observable.title, fontsize=11)
    style.legend_below(drawn)
    return drawn


def _looks(of: Sequence[Panel]) -> dict[str, tuple[str, str]]:
    """Return colour and marker of each paper, the same in all panels."""
    labels = dict.fromkeys(one.label for panel in of for one in panel.references)
    return {label: (_PAPERS[i % len(_PAPERS)], _MARKERS[i % len(_MARKERS)]) for i, label in enumerate(labels)}


def _draw(axes: Axes, panel: Panel, looks: Mapping[str, tuple[str, str]], unit: str) -> None:
    for one in panel.references:
        colour, marker = looks[one.label]
        if one.line:
            axes.plot(one.x, one.y, "--", color=colour, lw=1.3, label=one.label)
            continue
        error = np.nan_to_num(np.clip([one.down, one.up], 0.0, 5.0), nan=0.0)
        axes.errorbar(one.x, one.y, error, fmt=marker, ms=3, lw=0.8, mew=0, color=colour, label=one.label)
    low, high = panel.y - panel.error, panel.y + panel.error
    axes.fill_between(panel.x, low, high, color=style.STAR_FORMING, alpha=0.3, lw=0)
    axes.plot(panel.x, panel.y, "-", color=style.STAR_FORMING, lw=1.8, label="the run", zorder=4)
    known = np.isfinite(panel.y)
    alone = known & ~np.convolve(known, [1, 0, 1], "same").astype(bool)  # no line leads there
    axes.errorbar(panel.x[alone], panel.y[alone], panel.error[alone], fmt="o", ms=4, color=style.STAR_FORMING, zorder=4)
    if panel.spread is not None:
        axes.errorbar(
            panel.x, panel.y, panel.spread, fmt="none", capsize=2, elinewidth=1, color="navy",
            label="spread between realisations",
        )  # fmt: skip
    for end, far in zip(panel.limits, (-_FAR, _FAR), strict=True):
        if np.isfinite(end):
            axes.axvspan(end, far, color="0.5", alpha=0.2, lw=0, label="cut by the limits of the catalogue")
    axes.set_title(f"{panel.title}\n{_said(panel, unit)}", loc="left", fontsize=9)


def _said(panel: Panel, unit: str) -> str:
    """Return the score of a panel as its title has it."""
    if not panel.score.points:
        return "nothing to compare"
    said = f"{panel.score.offset:+.2f} {unit}".strip().replace("-", "\N{MINUS SIGN}")
    said += rf", $|\Delta|$ {panel.score.apart:.2f}"
    return said + (rf", $\chi^2/n$ {panel.score.chi2:.2g}" if np.isfinite(panel.score.chi2) else "")


def _say_why(axes: Axes, why: str) -> None:
    text = "\n".join(textwrap.wrap(why, 32))
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=9, color="0.35")


def _set_limits(axes: Axes, shown: Sequence[Panel]) -> None:
    """Show all that was observed, and of the run what is complete."""
    x, y = [], []
    for panel in shown:
        complete = np.isfinite(panel.y) & (panel.x > panel.limits[0]) & (panel.x < panel.limits[1])
        x.append(panel.x[complete])
        y.append(panel.y[complete])
        for one, compared in zip(panel.references, panel.compared, strict=True):
            seen = np.isfinite(compared) if one.line else np.isfinite(one.y)  # lines may go on for ever
            x.append(one.x[seen])
            y.append(one.y[seen])
    axes.set(xlim=style.span(*x), ylim=style.span(*y))


def as_html(card: Card, run: str) -> str:
    """Return a page with the scores of all bins, and why what is not shown is not."""
    body = []
    for name, of in card.items():
        observable, total = OBSERVABLES[name], overall([panel.score for panel in of])
        scores = _cells(total["offset"], total["apart"], total["worst"], total["chi2"])
        body.append(
            f"<tr><th>{escape(_plain(observable.title))}</th>{scores}"
            f"<th>{total['points'] or ''}</th><th>{escape(observable.unit)}</th></tr>"
        )
        for panel in of:
            title = escape(_plain(panel.title))
            if panel.why:
                body.append(f'<tr><td>{title}</td><td colspan="6" class="why">{escape(panel.why)}</td></tr>')
                continue
            papers = ", ".join(one.label for one in panel.references)
            body.append(
                f"<tr><td>{title}</td>{_cells(panel.score.offset, panel.score.apart, np.nan, panel.score.chi2)}"
                f'<td>{panel.score.points}</td><td class="why">{escape(papers)}</td></tr>'
            )
    return _PAGE.format(run=escape(run), body="\n".join(body))


def _cells(offset: float, apart: float, worst: float, chi2: float) -> str:
    signed, others = "{:+.2f}", "{:.2f}"
    texts = zip((signed, others, signed, others), (offset, apart, worst, chi2), strict=True)
    return "".join(f"<td>{text.format(value) if np.isfinite(value) else ''}</td>" for text, value in texts)


def _plain(title: str) -> str:
    """Return a title without formulae."""
    for formula, text in ((r"\alpha", "alpha"), (r"\beta", "beta"), (r"\,", " "), (r"\log", "log"), (r"\mathrm", "")):
        title = title.replace(formula, text)
    return title.translate(str.maketrans("", "", "${}"))


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Card of the sky</title><style>
body {{ font-family: sans-serif; font-size: 14px; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: 3px 8px; text-align: left; }}
th {{ background: #eef3f7; }} .why {{ color: #777; }}
</style></head><body>
<h1>Card of the sky: {run}</h1>
<table>
<thead><tr><th>observable, bin</th><th>offset</th><th>apart</th><th>worst</th><th>chi2 per point</th><th>points</th>
<th>unit, papers</th></tr></thead>
<tbody>
{body}
</tbody></table>
<p>The offset of a bin is the median of the run less what was observed, and how far they are apart the median of its
absolute value; chi2 is that of the points that have errors. Of an observable, offset and apart are the medians over its
bins, and worst is the offset furthest from 0.</p>
</body></html>
"""
