"""A kernel of about a second that says how fast a core is at the moment, for the times of `mocksed plan`.

It does what jobs spend their time on: sums over SSPs that stay in cache, attenuation of each wavelength, products of
matrices for bands, and steps from point to point of a table much larger than a cache, as of a search. It is numpy
alone, so that it is the same work in every version of mocksed and needs neither an SSP table nor compilation.
"""

import time

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

ROUNDS = 250
"""How often the work is done that is timed."""

_SSPS, _WAVELENGTHS = 188, 1936  # ages at two metallicities, as in the table that is shipped
_GALAXIES = 64  # whose spectra fit in a cache
_BANDS = 32
_POINTS, _STEPS = 1 << 23, 40  # of a table of 64 MB
_SEARCHES = 4096


def seconds() -> float:
    """Return the CPU time of the kernel on one core [s]."""
    rng = np.random.default_rng(0)
    work = _Work(rng)
    with threadpool_limits(1, "blas"):
        work.once()  # memory is there from now on
        start = time.process_time()
        for _ in range(ROUNDS):
            work.once()
        return time.process_time() - start


class _Work:
    """Arrays that nothing is allocated beside: the system would be timed, too."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._ssps, self._bands = (
            rng.random(shape, np.float32) for shape in ((_SSPS, _WAVELENGTHS), (_WAVELENGTHS, _BANDS))
        )
        self._weights = rng.random((_GALAXIES, _SSPS), np.float32)
        self._depth = rng.random((_GALAXIES, _WAVELENGTHS), np.float32)
        self._spectra, self._one = np.empty((2, _GALAXIES, _WAVELENGTHS), np.float32)
        self._fluxes = np.empty((_GALAXIES, _BANDS), np.float32)
        self._next: NDArray[np.int64] = rng.integers(0, _POINTS, _POINTS)
        self._at, self._then = np.arange(_SEARCHES), np.empty(_SEARCHES, np.int64)

    def once(self) -> None:
        """Make the spectra of some galaxies, and search."""
        np.matmul(self._weights, self._ssps, out=self._spectra)
        for ssp in range(0, _SSPS, 8):
            np.multiply(self._weights[:, ssp, None], self._ssps[ssp], out=self._one)
            np.add(self._spectra, self._one, out=self._spectra)
        np.exp(self._depth, out=self._one)
        np.divide(self._spectra, self._one, out=self._spectra)
        np.matmul(self._spectra, self._bands, out=self._fluxes)
        self._at[:] = np.arange(_SEARCHES)
        for _ in range(_STEPS):
            np.take(self._next, self._at, out=self._then, mode="clip")
            self._at, self._then = self._then, self._at
