"""Dust: what it absorbs, by a curve of `mocksed.sps.curves`, and what it emits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.compiled import njit
from mocksed.errors import UserError
from mocksed.sps.curves import CURVES, V_BAND, bump
from mocksed.sps.model import Model
from mocksed.sps.nebular import exp2
from mocksed.sps.table import LIGHT, SSPTable

Array = NDArray[np.float64]

_LOG2_E = float(np.log2(np.e))
_F = np.float32


class Curve(NamedTuple):
    """An attenuation curve with the slope as a parameter; a named tuple, since numba can take one.

    k(lambda) / k(5500 A) is (base + strength bump) (lambda / 5500 A)^dust_index, the strength linear in the slope.

    Attributes
    ----------
    base, bump : ndarrays of shape (n_wave, )
        The curve without slope, and what the bump adds to it.
    log_ratio : ndarray of shape (n_wave, )
        ln(lambda / 5500 A).
    strength : ndarray of shape (2, )
        Of the bump at the slope 0, and its change with the slope.
    free : bool
        Whether there is a slope; else only ``base`` counts.

    """

    base: NDArray[np.floating]
    bump: NDArray[np.floating]
    log_ratio: NDArray[np.floating]
    strength: Array
    free: bool

    def at(self, dust_index: float | Array) -> Array:
        """Return the curve of one slope, shape (n_wave, ), or of slopes (n, 1), shape (n, n_wave)."""
        if not self.free:
            return np.asarray(self.base)
        low, high = self.strength
        return (self.base + (low + high * dust_index) * self.bump) * np.exp(dust_index * self.log_ratio)

    def some(self, index: NDArray[np.intp]) -> Curve:
        """Return the curve at some of its wavelengths."""
        return self._replace(base=self.base[index], bump=self.bump[index], log_ratio=self.log_ratio[index])

    def in_log2(self) -> Curve:
        """Return the curve for powers of 2 and in single precision, as `transmission` takes it."""
        base, bump, log_ratio = ((of * _LOG2_E).astype(np.float32) for of in (self.base, self.bump, self.log_ratio))
        return self._replace(base=base, bump=bump, log_ratio=log_ratio)


@njit(fastmath={"contract"})
def transmission(dust2, dust_index, dust, begin, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (n, ) with what dust lets through, exp(-dust2 k), for a curve from `Curve.in_log2`.

    ``out`` has the wavelengths of the curve from ``begin`` on.
    """
    depth, slope = _F(dust2), _F(dust_index)
    end = begin + len(out)
    base, bump, log_ratio = dust.base[begin:end], dust.bump[begin:end], dust.log_ratio[begin:end]
    if not dust.free:
        for i in range(len(out)):
            out[i] = exp2(-depth * base[i])
        return
    strength = _F(dust.strength[0]) + _F(dust.strength[1]) * slope
    for i in range(len(out)):
        out[i] = exp2(-depth * (base[i] + strength * bump[i]) * exp2(slope * log_ratio[i]))


def curve(wavelength: ArrayLike, model: Model) -> Curve:
    """Return the attenuation curve that the model names, relative to 5500 A, for increasing wavelengths [A]."""
    wavelength = np.asarray(wavelength, np.float64)
    nothing, log_ratio, known = np.zeros(len(wavelength)), np.log(wavelength / V_BAND), CURVES[model.dust_type]
    if known.untilted is None or not model.slope_is_free:
        base = known.at(wavelength, *(getattr(model, option) for option in known.options))
        return Curve(base, nothing, log_ratio, np.zeros(2), False)
    bumps = bump(wavelength) if any(known.bump_strength) else nothing
    return Curve(known.untilted(wavelength), bumps, log_ratio, np.array(known.bump_strength), True)


def emission(table: SSPTable, model: Model) -> Array:
    """Return the spectrum of the dust per luminosity (Draine & Li 2007), as FSPS's ``add_dust.f90``.

    A fraction ``duste_gamma`` of the dust is in radiation fields from ``duste_umin`` to 1e6 (a power law), the rest in
    ``duste_umin``. The emission per mass of dust is linear in both nodes of the table; ``duste_qpah`` and
    ``duste_umin`` beyond the end nodes count as these.

    Parameters
    ----------
    table : SSPTable
        With the emission at the nodes.
    model : Model
        With ``duste_qpah`` [%], ``duste_umin`` and ``duste_gamma``.

    Returns
    -------
    ndarray of shape (n_wave, )
        L_nu [1/Hz]; its integral over frequency (trapezium) is 1.

    Raises
    ------
    UserError
        If the table has no dust emission.

    """
    if not table.dust_emission.size:
        raise UserError(
            "sps.add_dust_emission is true, but the SSP table has no dust emission. Make the table from an FSPS that "
            "has it, or set sps.add_dust_emission to false."
        )
    qpah = np.array([np.interp(model.duste_qpah, table.dust_qpah, unit) for unit in np.eye(len(table.dust_qpah))])
    umin = np.array([np.interp(model.duste_umin, table.dust_umin, unit) for unit in np.eye(len(table.dust_umin))])
    gamma = np.array([1.0 - model.duste_gamma, model.duste_gamma])
    per_mass = np.einsum("q,u,g,qugw->w", qpah, umin, gamma, table.dust_emission)
    return np.asarray(per_mass / -np.trapezoid(per_mass, LIGHT / table.wavelength))
