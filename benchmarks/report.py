"""Rows of the benchmark table: what was measured, against what was wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Spread(NamedTuple):
    """Median, lowest and highest of several measurements."""

    median: float
    low: float
    high: float


def spread(samples: NDArray[np.float64]) -> Spread:
    """Return what the samples, shape (n, ), are about."""
    return Spread(float(np.median(samples)), float(samples.min()), float(samples.max()))


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    name : str
        What was measured.
    found : Spread or None
        What was found; None if it could not be measured.
    at_most, at_least : float, optional
        The target; without one the row is for information.
    missing : str
        Why there is nothing found.

    """

    name: str
    found: Spread | None
    at_most: float | None = None
    at_least: float | None = None
    missing: str = "not installed"

    @property
    def target(self) -> str:
        """The target, as it is printed."""
        if self.at_most is not None:
            return f"<= {self.at_most:,g}"
        return "" if self.at_least is None else f">= {self.at_least:,g}"

    @property
    def verdict(self) -> str:
        """Whether the median meets the target."""
        if not self.target:
            return ""
        if self.found is None:
            return "unknown"
        met = (self.at_most is None or self.found.median <= self.at_most) and (
            self.at_least is None or self.found.median >= self.at_least
        )
        return "met" if met else "MISSED"


@dataclass(frozen=True)
class Section:
    """Rows under one title, which says their unit."""

    title: str
    rows: Sequence[Row]


def number(value: float) -> str:
    """Return a number with about three figures, never in powers of ten unless it is very small."""
    size = abs(value)
    if 0.0 < size < 1e-3:
        return f"{value:.1e}"
    decimals = 3 if size < 1.0 else 2 if size < 10.0 else 1 if size < 100.0 else 0
    return f"{value:,.{decimals}f}"


def render(sections: Sequence[Section]) -> str:
    """Return the table as text."""
    header = ("", "median", "lowest - highest", "target", "verdict")
    lines: list[tuple[str, ...]] = [header]
    for section in sections:
        lines += [(), (section.title,)]
        for row in section.rows:
            if row.found is None:
                lines.append((f"  {row.name}", row.missing, "", row.target, row.verdict))
            else:
                median, low, high = map(number, row.found)
                varied = "" if low == high else f"{low} - {high}"
                lines.append((f"  {row.name}", median, varied, row.target, row.verdict))
    width = [max(len(line[i]) for line in lines if len(line) == len(header)) for i in range(len(header))]

    def laid_out(line: tuple[str, ...]) -> str:
        if len(line) < len(header):
            return "".join(line)
        cells = [line[0].ljust(width[0]), *(line[i].rjust(width[i]) for i in (1, 2, 3)), line[4]]
        return "  ".join(cells).rstrip()

    return "\n".join(map(laid_out, lines)) + "\n"
