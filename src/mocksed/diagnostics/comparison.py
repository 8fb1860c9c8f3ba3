"""Several runs of the same galaxies side by side: how close each comes to the relations, against targets.

A `Row` is one number of one bin with its target. Targets are: medians on the relations, and their scatter; uncorrelated
residuals of M_UV and UV slope, so that the slope is on its relation at any M_UV; quiescent galaxies with the SFR of
their relation and colours in the UVJ box; ages below that of the universe; and no pile-up of ages, e-folding times or
slopes of the attenuation curve.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed.cosmology import Cosmology, t_univ
from mocksed.diagnostics import bins, mass_metallicity, muv, residuals, sfr_mass, uvj
from mocksed.diagnostics.catalogue import Arrays, Sample, select
from mocksed.diagnostics.settings import Settings
from mocksed.quantities import QUANTITIES
from mocksed.relations import Scatter

Range = tuple[float, float]

COLUMNS = tuple(
    dict.fromkeys(
        ["galaxy_id", "age", "tau", "dust_index"]
        + [name for module in (residuals, sfr_mass, uvj) for name in module.COLUMNS]
    )
)

MIN_COUNT = 100
"""Galaxies that a bin must have for a verdict."""

OFFSET_LIMITS = {"muv": 0.08, "beta": 0.05, "log_sfr": 0.03, "log_zmet": 0.03, "log_us": 0.03}
"""How far medians may be from the relations [mag, -, dex, dex, dex]."""

MUV_LIMIT_AT_LOW_MASS = 0.25
"""The same of M_UV where models of the SFR are hardly bright enough, between 1e8 Msun and the mass of `residuals`."""

LEAST_LOG_MSTAR = 8.0
"""No verdict on star-forming galaxies of less mass: there relations are extrapolated."""

_BETA_AT_MUV = 0.1  # how far the median slope in bins of M_UV may be
_CORRELATION = 0.3
QUIESCENT_SFR, _LEAST_QUIESCENT, _Z_SFR = 0.05, 9.0, 5.0  # dex, log mass, redshift of the bins that are judged
_HALF_WIDTHS = ("muv", "log_sfr", "log_zmet", "log_us")
_SIGMA = (0.15865525393145707, 0.8413447460685429)  # cumulative probabilities at -1 and +1 standard deviation
_INTERVALS = 50  # of 2 %
_CROWDED = 20  # galaxies of an interval; with fewer, chance alone makes three times
_Z_FULL = 5.0  # below it quiescent colours are possible for all


@dataclass(frozen=True)
class Row:
    """One number of a run, in one bin, with its target."""

    check: str
    """Name in `CHECKS`."""
    quantity: str
    count: int
    """Galaxies behind the number."""
    value: float
    error: float
    """Statistical error of the value (one standard deviation); 0 for what has none."""
    limit: float
    """What the value is held against, see `Check.excess`; NaN where there is no target."""
    redshift: Range | None = None
    log_mstar: Range | None = None
    """The bin; None for all galaxies."""
    interval: Range | None = None
    """The interval of the quantity that the value is of (`pile_up`), of M_UV for the slope."""

    @property
    def where(self) -> str:
        """The bin or interval in words."""
        named = {"z": self.redshift, "log M": self.log_mstar, "M_UV" if self.quantity == "beta" else "x": self.interval}
        return ", ".join(f"{own[0]:.4g} < {name} < {own[1]:.4g}" for name, own in named.items() if own)

    @property
    def excess(self) -> float:
        """By how much the value misses its target; not above 0 where it meets it."""
        return CHECKS[self.check].excess(self.value, self.limit)

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`; "" where there is no target, too few galaxies or no value."""
        if np.isnan(self.excess) or self.count < CHECKS[self.check].min_count:
            return ""
        return VERDICTS[0] if self.excess <= 0.0 else VERDICTS[1] if self.excess <= 2.0 * self.error else VERDICTS[2]


VERDICTS = ("met", "within errors", "missed")
"""Of a target: met; missed by at most two standard deviations of the value; missed."""


@dataclass(frozen=True)
class Check:
    """The target of a number."""

    title: str
    target: str
    """The target in words."""
    excess: Callable[[float, float], float]
    min_count: int = MIN_COUNT
    by_bin: bool = False
    """Whether the table has a line for each bin, instead of the worst bin only."""


def _magnitude(value: float, limit: float) -> float:
    return abs(value) - limit


def _above(value: float, limit: float) -> float:
    return value - limit


def _below(value: float, limit: float) -> float:
    return limit - value


CHECKS: dict[str, Check] = {
    "offset": Check("Star-forming: median less relation", "|offset| at most {limit:g}", _magnitude),
    "half-width": Check(
        "Star-forming: 16-84 % half-width over that asked for, less 1", "within {limit:.0%}", _magnitude
    ),
    "correlation": Check(
        "Star-forming: correlation of the residuals of M_UV and UV slope", "at most {limit:g}", _above
    ),
    "beta at M_UV": Check(
        "Star-forming: median UV slope in bins of M_UV less relation", "|offset| at most {limit:g}", _magnitude
    ),
    "quiescent SFR": Check(
        "Quiescent: median SFR less relation", "|offset| at most {limit:g}", _magnitude, by_bin=True
    ),
    "in box": Check("Quiescent: fraction in the UVJ box", "1 at z < 5", _below, 1, by_bin=True),
    "ages": Check("Ages outside (0, age of the universe)", "none", _above, min_count=1),
    "pile-up": Check("Fullest 2 % interval over its neighbours", "at most {limit:g} times", _above),
}
"""Every check, in the order of the table."""


def measure_plots(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return the numbers of the diagnostics that are drawn side by side, by name."""
    modules = {"muv": muv, "sfr_mass": sfr_mass, "mass_metallicity": mass_metallicity, "uvj": uvj}
    return {name: module.measure(sample, settings) for name, module in modules.items()}


def measure(sample: Sample, settings: Settings, measured: Mapping[str, Any] | None = None) -> list[Row]:
    """Return every number of a run.

    Parameters
    ----------
    sample : Sample
        The galaxies, with `COLUMNS`.
    settings : Settings
        Of the run.
    measured : mapping, optional
        Result of `measure_plots`, if it is known.

    """
    star_forming, plots = sample.star_forming, measured or measure_plots(sample, settings)
    return [
        *_of_relations(star_forming, settings),
        *_of_residuals(star_forming, settings),
        *_of_slopes(plots["muv"]["beta"]),
        *_of_quiescent(sample.quiescent, settings),
        *_of_box(plots["uvj"]["quiescent"]["by_redshift"]),
        *_of_ages(star_forming, settings, "star-forming"),
        *_of_ages(sample.quiescent, settings, "quiescent"),
    ]


def _bins(galaxies: Arrays, settings: Settings) -> Iterator[tuple[dict[str, Range], NDArray[np.bool_]]]:
    """Yield limits and members of each bin of redshift and mass with enough galaxies."""
    edges = bins.edges(galaxies["log_mstar"], settings.mass_bin)
    for z_low, z_high, in_redshift in bins.slices(galaxies["redshift"], settings.redshift_bins):
        for low, high, in_mass in bins.slices(galaxies["log_mstar"], edges):
            inside = in_redshift & in_mass
            if np.count_nonzero(inside) >= MIN_COUNT:
                yield {"redshift": (z_low, z_high), "log_mstar": (low, high)}, inside


def _median(values: NDArray) -> tuple[float, float]:
    """Return the median of the finite values, and its error, as of normal deviates."""
    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan
    low, high = np.percentile(values, [16, 84])
    return float(np.median(values)), float(1.2533 * 0.5 * (high - low) / np.sqrt(len(values)))


def _of_relations(galaxies: Arrays, settings: Settings) -> Iterator[Row]:
    relations = settings.run_relations
    offsets, means = residuals.from_relations(galaxies, relations), residuals.means(galaxies, relations)
    for where, inside in _bins(galaxies, settings):
        n, lowest = int(np.count_nonzero(inside)), where["log_mstar"][0]
        for name, limit in OFFSET_LIMITS.items():
            value, error = _median(offsets[name][inside])
            if name == "muv" and lowest < residuals.LEAST_LOG_MSTAR:
                limit = MUV_LIMIT_AT_LOW_MASS
            judged = limit if lowest >= LEAST_LOG_MSTAR else np.nan
            yield Row("offset", name, n, value, error, judged, **where)
            if name in _HALF_WIDTHS:
                low, high = np.nanpercentile(offsets[name][inside], [16, 84])
                asked = _half_width(residuals.scatters(relations)[name], means[name], inside)
                ratio = 0.5 * (high - low) / asked if asked else np.nan
                judged = 0.1 if lowest >= LEAST_LOG_MSTAR else np.nan
                yield Row("half-width", name, n, ratio - 1.0, 1.3 * ratio / np.sqrt(n), judged, **where)


def _of_residuals(galaxies: Arrays, settings: Settings) -> Iterator[Row]:
    for row in residuals.correlations(galaxies, settings):
        r, n, where = row["correlation"], row["count"], (tuple(row["redshift"]), tuple(row["log_mstar"]))
        yield Row("correlation", "M_UV, beta", n, r, (1.0 - r * r) / np.sqrt(n), _CORRELATION, *where)


def _of_slopes(panels_of_beta: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield the offset of the slope in bins of M_UV that the least mass of the catalogue does not cut."""
    for panel in panels_of_beta:
        bins_of_panel = zip(panel["count"], panel["offset"], panel["p16"], panel["p84"], panel["cut"], strict=True)
        for at, (n, offset, low, high, cut) in zip(pairwise(panel["edges"]), bins_of_panel, strict=True):
            if not cut and n >= MIN_COUNT:
                error = 1.2533 * 0.5 * (high - low) / np.sqrt(n)
                where = (panel["low"], panel["high"])
                yield Row("beta at M_UV", "beta", n, offset, error, _BETA_AT_MUV, where, None, at)


def _half_width(scatter: Scatter, mean: NDArray, inside: NDArray[np.bool_]) -> float:
    """Return the mean half-width of the scatter of some galaxies, which is cut to the limits of the quantity."""
    low, high = (scatter.draw(mean[inside], probability) for probability in _SIGMA)
    return float(np.mean(0.5 * (high - low)))


def _of_quiescent(galaxies: Arrays, settings: Settings) -> Iterator[Row]:
    massive = select(galaxies, galaxies["log_mstar"] >= _LEAST_QUIESCENT)
    offset = massive["log_sfr"] - settings.run_relations.log_sfr_quiescent.mean(
        massive["log_mstar"], massive["redshift"]
    )
    for low, high, inside in bins.slices(massive["redshift"], settings.redshift_bins):
        limit = QUIESCENT_SFR if high <= _Z_SFR else np.nan
        yield Row("quiescent SFR", "log_sfr", int(inside.sum()), *_median(offset[inside]), limit, (low, high))


def _of_box(by_redshift: Sequence[Mapping[str, float]]) -> Iterator[Row]:
    for row in by_redshift:
        limit = 1.0 if row["high"] <= _Z_FULL else np.nan
        yield Row("in box", "U-V, V-J", int(row["n"]), row["in_box"], 0.0, limit, (row["low"], row["high"]))


def _of_ages(galaxies: Arrays, settings: Settings, name: str) -> Iterator[Row]:
    fraction = galaxies["age"] / t_univ(Cosmology(**settings.cosmology), galaxies["redshift"])
    n = len(fraction)
    yield Row("ages", name, n, float(np.count_nonzero(~((fraction > 0.0) & (fraction < 1.0)))), 0.0, 0.0)
    for quantity, values, limits in (
        ("age / t_univ", fraction, (0.0, 1.0)),
        ("log tau", np.log10(galaxies["tau"]), (-1.0, 2.0)),
        ("dust_index", galaxies["dust_index"], (-1.6, 0.4)),
    ):
        if quantity == "dust_index" and n and np.ptp(values) == 0.0:
            continue  # one attenuation curve for all
        ratio, error, at = pile_up(values, *limits)
        yield Row("pile-up", f"{quantity}, {name}", n, ratio, error, 3.0, interval=at)


def pile_up(values: NDArray, low: float, high: float) -> tuple[float, float, Range | None]:
    """Return how much more the most crowded 2 % interval holds than its neighbours do on average.

    Parameters
    ----------
    values : ndarray of shape (n, )
        Those beyond the limits count in the outermost intervals.
    low, high : float
        Limits of the intervals.

    Returns
    -------
    ratio, error : float
        Infinite beside empty intervals; NaN where no interval has enough values.
    interval : pair of float or None
        The limits of the interval.

    """
    count, edges = np.histogram(np.clip(values[np.isfinite(values)], low, high), _INTERVALS, (low, high))
    beside = np.concatenate([count[1:2], 0.5 * (count[:-2] + count[2:]), count[-2:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(count > _CROWDED, count / beside, -np.inf)
    i = int(np.argmax(ratio))
    if np.isneginf(ratio[i]):
        return np.nan, np.nan, None
    error = ratio[i] * np.sqrt(1.0 / count[i] + 1.0 / max(beside[i], 1.0)) if np.isfinite(ratio[i]) else 0.0
    return float(ratio[i]), float(error), (float(edges[i]), float(edges[i + 1]))


# The tables


def as_csv(runs: Mapping[str, Sequence[Row]]) -> str:
    """Return every row of some runs, by name, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ranges = ("redshift", "log_mstar", "interval")
    ends = [f"{name}_{end}" for name in ranges for end in ("low", "high")]
    writer.writerow(["run", "check", "quantity", *ends, "count", "value", "error", "limit", "verdict"])
    for run, rows in runs.items():
        for row in rows:
            its_ends = [_number(end) for name in ranges for end in getattr(row, name) or (np.nan, np.nan)]
            numbers = map(_number, (row.value, row.error, row.limit))
            writer.writerow([run, row.check, row.quantity, *its_ends, row.count, *numbers, row.verdict])
    return text.getvalue()


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def as_html(runs: Mapping[str, Sequence[Row]]) -> str:
    """Return a page with a line for each check and quantity and a column for each run, of some runs by name."""
    lines = dict.fromkeys(_line(row) for rows in runs.values() for row in rows)
    order = {check: i for i, check in enumerate(CHECKS)}
    body, last = [], ""
    for line in sorted(lines, key=lambda line: order[line[0]]):
        check = CHECKS[line[0]]
        if line[0] != last:
            body.append(f'<tr><th colspan="{len(runs) + 2}">{escape(check.title)}</th></tr>')
        last = line[0]
        cells = [[row for row in rows if _line(row) == line] for rows in runs.values()]
        target = next((_target(row) for cell in cells for row in cell if np.isfinite(row.limit)), "")
        found = "".join(_cell(cell) for cell in cells)
        body.append(f"<tr><td>{escape(', '.join(filter(None, line[1:])))}</td><td>{escape(target)}</td>{found}</tr>")
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("", "target", *runs))
    return _PAGE.format(head=f"<tr>{heads}</tr>", body="\n".join(body), note=escape(_NOTE))


_NOTE = (
    f"Of bins, the value that is worst, with its statistical error, and how many of those with at least {MIN_COUNT} "
    "galaxies meet the target. Green: met everywhere; yellow: missed by at most two errors; red: missed; white: no "
    "target, or too few galaxies."
)
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Comparison</title><style>
body {{ font-family: sans-serif; font-size: 14px; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: 3px 8px; text-align: left; }}
.met {{ background: #d7efdf; }} .within {{ background: #fdf3cf; }} .missed {{ background: #f9d9cf; }}
</style></head><body>
<table>
<thead>{head}</thead>
<tbody>
{body}
</tbody></table>
<p>{note}</p>
</body></html>
"""


def _line(row: Row) -> tuple[str, str, str]:
    return row.check, row.quantity, row.where if CHECKS[row.check].by_bin else ""


def _target(row: Row) -> str:
    unit = QUANTITIES[row.quantity].difference if row.check in ("offset", "quiescent SFR") else ""
    return f"{CHECKS[row.check].target.format(limit=row.limit)} {unit}".strip()


def _cell(rows: Sequence[Row]) -> str:
    if not rows:
        return "<td></td>"
    judged = [row for row in rows if row.verdict]
    worst = max(judged or rows, key=lambda row: (VERDICTS.index(row.verdict) if row.verdict else 0, row.excess))
    text = f"{worst.value:.3g}" + (f" ± {worst.error:.2g}" if worst.error > 0.0 else "")
    if len(rows) > 1:
        met = sum(row.verdict == VERDICTS[0] for row in judged)
        text += f" ({worst.where}); {met} of {len(judged)} bins"
    elif CHECKS[worst.check].by_bin:
        text += f" ({worst.count} galaxies)"
    elif worst.where:
        text += f" ({worst.where})"
    colour = worst.verdict.split(" ")[0]
    return f'<td class="{colour}">{escape(text)}</td>' if colour else f"<td>{escape(text)}</td>"
