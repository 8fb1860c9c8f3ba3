"""Counter-based random numbers: the draw of a galaxy depends on (seed, stage, id, realisation) alone.

Neither the position in a shard nor the process nor the order of the work enters, so that any sharding gives the
same bytes. The generator is Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), the
same as ``numpy.random.Philox``; numpy's cannot be evaluated for an array of counters, hence the kernel here.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.compiled import njit

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_LOW, _32, _12 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(12)
_ROUNDS = 10


class Stage(IntEnum):
    """Stages that draw random numbers; a number, once used, is never given to another stage."""

    LIGHTCONE = 1
    PARENT_STAR_FORMING = 2
    PARENT_QUIESCENT = 3
    PROPOSAL = 4
    QUIESCENT = 5
    CLASS = 6
    DIAGNOSTICS = 7
    SHARDS = 8
    ASSIGNMENT = 9
    GIVEN = 10
    MORPHOLOGY = 11
    SURVEY = 12
    LYMAN_ALPHA = 13


@njit(inline="always")
def _mulhilo(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """High and low 64 bits of the product of two 64-bit integers."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _32, b & _LOW, b >> _32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _32)
    carry = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _32) + (carry >> _32), a * b


@njit()
def _philox(
    keys: tuple[np.uint64, np.uint64], ids: NDArray, realisation: NDArray, first_block: int, out: NDArray
) -> None:
    """Fill ``out`` (n, 4 * blocks) with the raw 64-bit words of the counters (block, id, realisation, 0)."""
    for row in range(len(ids)):
        for block in range(out.shape[1] // 4):
            c0, c1, c2, c3 = np.uint64(first_block + block), np.uint64(ids[row]), realisation[row], np.uint64(0)
            k0, k1 = keys
            for _ in range(_ROUNDS):
                high0, low0 = _mulhilo(_M0, c0)
                high1, low1 = _mulhilo(_M1, c2)
                c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
                k0, k1 = k0 + _W0, k1 + _W1
            out[row, 4 * block] = c0
            out[row, 4 * block + 1] = c1
            out[row, 4 * block + 2] = c2
            out[row, 4 * block + 3] = c3


def raw(
    seed: int, stage: Stage, ids: NDArray[np.int64], n_draws: int, first: int = 0, realisation: ArrayLike = 0
) -> NDArray[np.uint64]:
    """Return random 64-bit words, shape (len(ids), n_draws): the draws first, first + 1, ... of each id."""
    start, skip = divmod(first, 4)
    blocks = -(-(skip + n_draws) // 4)
    out = np.empty((len(ids), 4 * blocks), np.uint64)
    keys = (np.uint64(seed), np.uint64(int(stage)))
    of_row = np.ascontiguousarray(np.broadcast_to(np.asarray(realisation, np.uint64), (len(ids),)))
    _philox(keys, np.ascontiguousarray(ids, np.int64).view(np.uint64), of_row, start, out)
    return out[:, skip : skip + n_draws]


def uniforms(
    seed: int, stage: Stage, ids: NDArray[np.int64], n_draws: int, first: int = 0, realisation: ArrayLike = 0
) -> NDArray[np.float64]:
    """Return uniform deviates in the open interval (0, 1).

    Parameters
    ----------
    seed : int
        The seed of the run, 0 to 2**64 - 1.
    stage : Stage
        Who asks; every stage has a stream of its own.
    ids : ndarray of shape (n, )
        Galaxy ids (or parent indices): each has its own stream.
    n_draws : int
        Deviates for each id.
    first : int
        Index of the first one in the stream of the id, to go on where an earlier call ended.
    realisation : int or ndarray of shape (n, )
        Index of the realisation, 0 or more: each has streams of its own.

    Returns
    -------
    ndarray of shape (n, n_draws)

    """
    # 52 bits: with 53, the largest one and a half rounds to 1
    return np.asarray((raw(seed, stage, ids, n_draws, first, realisation) >> _12) + 0.5, np.float64) * 2.0**-52
