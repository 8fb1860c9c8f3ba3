"""The log and the progress of a job: a bar on a terminal, plain lines with rate and time left in a log."""

import logging
import sys
import time
from collections.abc import Callable

from tqdm import tqdm

log = logging.getLogger("mocksed")

_SECONDS_BETWEEN_LINES = 10.0


def progress(total: int, unit: str, description: str) -> "Progress":
    """Return a progress report: a bar on a terminal, plain lines with rate and time left in a log."""
    return Progress(total, unit, description)


class Progress:
    """A context manager; call `update` with the amount of work done since the last call, which also calls ``tick``."""

    def __init__(self, total: int, unit: str, description: str, tick: Callable[[], object] | None = None) -> None:
        self._tick = tick
        self._bar = tqdm(total=total, unit=unit, desc=description, unit_scale=True, disable=not sys.stderr.isatty())
        self._total, self._unit, self._description = total, unit, description
        self._done, self._start, self._last = 0, time.perf_counter(), time.perf_counter()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
        if exception[0] is None:
            self._line()

    def update(self, amount: int) -> None:
        """Report that ``amount`` more units are done."""
        self._done += amount
        self._bar.update(amount)
        if self._tick:
            self._tick()
        now = time.perf_counter()
        if now - self._last > _SECONDS_BETWEEN_LINES:
            self._last = now
            self._line()

    def _line(self) -> None:
        rate = self._done / max(time.perf_counter() - self._start, 1e-9)
        left = f", {(self._total - self._done) / rate:.0f} s left" if 0 < self._done < self._total else ""
        log.info("%s: %d of %d %s, %.3g %s/s%s", self._description, self._done, self._total, self._unit, rate,
                 self._unit, left)  # fmt: skip
