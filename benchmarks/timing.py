"""Time things side by side: the speed of a machine drifts, a ratio taken within seconds does not."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Contestant(NamedTuple):
    """Work to be timed.

    Attributes
    ----------
    work : callable
        One turn.
    n : int
        Galaxies done in a turn.

    """

    work: Callable[[], object]
    n: int


def elapsed(work: Callable[[], object]) -> float:
    """Return the time of a call [s]."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Return the time of each contestant per galaxy [s] in each round, shape (rounds, ).

    In a round everyone has one turn, in the order given. A turn before the first round compiles and warms up.
    """
    for contestant in contestants.values():
        contestant.work()
    seconds = [[elapsed(c.work) / c.n for c in contestants.values()] for _ in range(rounds)]
    return dict(zip(contestants, np.transpose(seconds), strict=True))


def quickest(candidates: Mapping[int, Contestant], repeats: int = 3) -> Contestant:
    """Return the contestant that takes the least time per galaxy."""
    seconds = interleaved({str(key): contestant for key, contestant in candidates.items()}, repeats)
    return min(candidates.items(), key=lambda item: seconds[str(item[0])].min())[1]
