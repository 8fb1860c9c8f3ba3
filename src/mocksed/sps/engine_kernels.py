"""The loops of `mocksed.sps.engine`, compiled.

What one galaxy gets does not depend on the others of its block: they are only side by side.
"""

import numpy as np

from mocksed.compiled import njit, prange
from mocksed.sps.dust import transmission
from mocksed.sps.nebular import add_continuum, add_lines, bracket, draw_lines, lines_within
from mocksed.sps.weights import History, ssp_weights, survival

_F = np.float32

_SELF_ABSORPTION = 1e-2
"""FSPS lets dust absorb its own emission again until less than this is left [Lsun per Msun formed]."""


@njit(parallel=True)
def ssp_sums(age, tau, log_zmet, history: History, zmet_nodes, of_ssp, out) -> None:  # type: ignore[no-untyped-def]
    """Fill ``out`` (n, ) with the sums over its stars of what SSPs of 1 Msun have, ``of_ssp`` (n_zmet, n_age)."""
    for g in prange(len(age)):
        weights = np.empty(len(history.log_age))
        used = ssp_weights(history, age[g], tau[g], weights)
        z, dz = bracket(zmet_nodes, log_zmet[g])
        out[g] = survival(weights, used, of_ssp[z], of_ssp[z + 1], dz)


BLOCK = 32
"""Galaxies whose spectra are made together."""

_TILE = 512  # wavelengths at a time: the SSPs between two metallicities then fit into the second-level cache


@njit(fastmath={"contract"})
def _add_ssps(low, high, ages, weights, wavelengths, spectrum0, spectrum1):  # type: ignore[no-untyped-def]
    """Add to two spectra the SSPs (n_age, n_wave) of two metallicities, two ages at a time.

    ``ages`` and ``wavelengths`` are the first and the one past the last; ``weights`` (2, 2 n_age) of each spectrum
    alternate between the metallicities.
    """
    first, last = wavelengths
    s0, s1 = spectrum0[first:last], spectrum1[first:last]
    for a in range(ages[0], ages[1], 2):
        b = min(a + 1, len(low) - 1)  # of weight zero where there is none
        r0, r1, r2, r3 = low[a, first:last], high[a, first:last], low[b, first:last], high[b, first:last]
        p0, p1, p2, p3 = weights[0, 2 * a], weights[0, 2 * a + 1], weights[0, 2 * a + 2], weights[0, 2 * a + 3]
        q0, q1, q2, q3 = weights[1, 2 * a], weights[1, 2 * a + 1], weights[1, 2 * a + 2], weights[1, 2 * a + 3]
        for i in range(last - first):
            s0[i] += p0 * r0[i] + p1 * r1[i] + p2 * r2[i] + p3 * r3[i]
            s1[i] += q0 * r0[i] + q1 * r1[i] + q2 * r2[i] + q3 * r3[i]


@njit(inline="always")
def _shine(formed, used, z, dz, neb):  # type: ignore[no-untyped-def]
    """Return the ionising photons [1/s] of each young SSP of a galaxy, shape (n_used, )."""
    photons = np.empty(min(used, len(neb.node)))
    for a in range(len(photons)):
        photons[a] = formed[a] * ((1.0 - dz) * neb.photons[z, a] + dz * neb.photons[z + 1, a])
    return photons


@njit(parallel=True, fastmath={"contract"})
def spectra(  # type: ignore[no-untyped-def]
    order, starts, window, age, tau, log_zmet, log_us, dust2, dust_index, shines, mass, lya_escape, lyman_alpha,
    line_attenuation, history, zmet_nodes, stellar, n_ionising, neb, dust_log2, emission, d_nu, drawn, out,
) -> None:  # fmt: skip
    """Fill ``out`` (n, n_wave) with spectra [Lsun/Hz].

    Parameters
    ----------
    order, starts : ndarrays of int
        An order of the galaxies and where blocks start in it (see `mocksed.sps.engine.blocks`).
    window : ndarray of int of shape (n, 2)
        First wavelength that is wanted and the one past the last; all if the dust emits.
    age, tau, log_zmet, log_us, dust2, dust_index : ndarrays of shape (n, )
        Parameters, within the table.
    shines, mass : ndarrays of shape (n, )
        Whether the gas shines; stellar mass formed [Msun].
    lya_escape : ndarray of shape (n, )
        Fraction of Lyman alpha that leaves; NaN for what dust lets through.
    lyman_alpha, line_attenuation : int, float
        Index of that line; optical depth in front of lines relative to that in front of the continuum.
    history, zmet_nodes, stellar, n_ionising, neb
        What an engine has of its table.
    dust_log2, emission, d_nu : Curve, ndarrays of shape (n_wave, )
        Attenuation curve; emission of the dust (empty for none); widths of the wavelengths in frequency.
    drawn : bool
        Whether the lines are drawn.
    out : ndarray of shape (n, n_wave)
        Overwritten; NaN outside the window.

    """
    apart = line_attenuation != 1.0  # the light of the lines is then kept apart, to be behind a dust of its own
    n_young, (_, n_age, n_wave) = len(neb.node), stellar.shape
    for block in prange(len(starts) - 1):
        members = order[starts[block] : starts[block + 1]]
        even = len(members) + len(members) % 2  # an odd number has a companion of weight zero
        spectra = np.zeros((even, n_wave), np.float32)
        weights, formed = np.zeros((even, 2 * (n_age + 1)), np.float32), np.zeros((even, n_age))
        used, through = np.zeros(even, np.int64), np.empty(n_wave, np.float32)
        of_lines = np.empty(n_wave if apart else 0, np.float32)
        z, _ = bracket(zmet_nodes, log_zmet[members[0]])
        lit = shines[members[0]]  # as all members of the block
        n_taken = n_ionising if lit else 0
        begin, end = window[members, 0].min(), window[members, 1].max()  # of the block
        for m, g in enumerate(members):
            dz = bracket(zmet_nodes, log_zmet[g])[1]
            used[m] = ssp_weights(history, age[g], tau[g], formed[m])
            for a in range(used[m]):
                weights[m, 2 * a], weights[m, 2 * a + 1] = _F(formed[m, a] * (1.0 - dz)), _F(formed[m, a] * dz)
        for first in range(max(begin, n_taken), end, _TILE):
            tile = (first, min(first + _TILE, end))
            for m in range(0, even, 2):
                ages = (0, max(used[m], used[m + 1]))
                _add_ssps(stellar[z], stellar[z + 1], ages, weights[m : m + 2], tile, spectra[m], spectra[m + 1])
        # the gas takes the ionising photons of the young stars: only the older ones are left at those wavelengths
        weights[:, : 2 * n_young] = _F(0.0)
        for first in range(begin, min(n_taken, end), _TILE):
            tile = (first, min(first + _TILE, n_taken, end))
            for m in range(0, even, 2):
                ages = (n_young - n_young % 2, max(used[m], used[m + 1]))
                _add_ssps(stellar[z], stellar[z + 1], ages, weights[m : m + 2], tile, spectra[m], spectra[m + 1])
        for m, g in enumerate(members):
            begin, end = window[g, 0], window[g, 1]
            out[g, :begin], out[g, end:] = _F(np.nan), _F(np.nan)
            spectrum, attenuated, transmitted = spectra[m, begin:end], out[g, begin:end], through[begin:end]
            luminosity, escaping, trapped = np.zeros(neb.lines.shape[3], np.float32), _F(0.0), 0.0
            shining = np.zeros(end - begin if apart else 0, np.float32)
            if lit:
                gas_z, gas_dz = bracket(neb.log_zmet, log_zmet[g])
                u, du = bracket(neb.log_us, log_us[g])
                photons = _shine(formed[m], used[m], z, bracket(zmet_nodes, log_zmet[g])[1], neb)
                add_continuum(photons, neb, gas_z, _F(gas_dz), u, _F(du), begin, spectrum)
                if drawn or len(emission):
                    first, last = lines_within(neb.profile_start, neb.profile, begin, end)
                    add_lines(photons, neb, gas_z, _F(gas_dz), u, _F(du), first, luminosity[first:last])
                    if not np.isnan(lya_escape[g]):
                        escaping = _F(lya_escape[g]) * luminosity[lyman_alpha] * mass[g]
                        trapped = luminosity[lyman_alpha] * mass[g] - escaping
                        luminosity[lyman_alpha] = _F(0.0)
                if drawn:
                    draw_lines(luminosity, neb.profile_start, neb.profile, begin, shining if apart else spectrum)
            transmission(dust2[g], dust_index[g], dust_log2, begin, transmitted)
            for i in range(len(spectrum)):
                spectrum[i] *= mass[g]
                attenuated[i] = spectrum[i] * transmitted[i]
            emits = len(emission) > 0 and dust2[g] > 0.0
            if emits and lit and not drawn:  # the dust absorbs them
                luminosity *= mass[g]
                draw_lines(luminosity, neb.profile_start, neb.profile, begin, shining if apart else spectrum)
            if apart and lit and (drawn or emits):
                behind = of_lines[begin:end]
                transmission(line_attenuation * dust2[g], dust_index[g], dust_log2, begin, behind)
                for i in range(len(shining)):
                    light = shining[i] * (mass[g] if drawn else _F(1.0))
                    attenuated[i] += light * behind[i] if drawn else _F(0.0)
                    trapped += d_nu[i] * light * (_F(1.0) - behind[i])
            if drawn and escaping > 0.0:
                one = slice(lyman_alpha, lyman_alpha + 1)
                draw_lines(np.full(1, escaping), neb.profile_start[one], neb.profile[one], begin, attenuated)
            if emits:
                _add_dust_emission(spectrum, trapped, mass[g], transmitted, emission, d_nu, attenuated)


@njit(fastmath={"contract"})
def _add_dust_emission(spectrum, trapped, mass, transmitted, emission, d_nu, attenuated):  # type: ignore[no-untyped-def]
    """Add to the attenuated spectrum what the dust emits: what it absorbs, its own emission included.

    ``trapped`` [Lsun] is what it absorbs beside its share of ``spectrum``. The emission has the integral 1; of what the
    dust emits it absorbs the same fraction again (``add_dust.f90``).
    """
    absorbed, of_itself = trapped, 0.0
    for i in range(len(spectrum)):
        opaque = d_nu[i] * (1.0 - transmitted[i])
        absorbed += opaque * spectrum[i]
        of_itself += opaque * emission[i]
    luminosity = left = absorbed
    while left * of_itself > _SELF_ABSORPTION * mass:
        left *= of_itself
        luminosity += left
    for i in range(len(spectrum)):
        attenuated[i] += _F(luminosity) * emission[i] * transmitted[i]


@njit(parallel=True, fastmath={"contract"})
def lines(  # type: ignore[no-untyped-def]
    age, tau, log_zmet, log_us, depth, dust_index, lya_escape, lyman_alpha, history, zmet_nodes, neb, dust_left,
    dust_right, fraction, out,
) -> None:  # fmt: skip
    """Add to ``out`` (n, n_line) the luminosities of lines of 1 Msun formed [Lsun], behind the optical depth ``depth``.

    The dust is interpolated between the curves on the wavelengths left and right of the lines, ``fraction`` of the way;
    the other arguments are as for `spectra`.
    """
    for g in prange(len(age)):
        formed, left, right = np.empty(len(history.log_age)), np.empty_like(out[g]), np.empty_like(out[g])
        used = ssp_weights(history, age[g], tau[g], formed)
        z, dz = bracket(zmet_nodes, log_zmet[g])
        gas_z, gas_dz = bracket(neb.log_zmet, log_zmet[g])
        u, du = bracket(neb.log_us, log_us[g])
        add_lines(_shine(formed, used, z, dz, neb), neb, gas_z, _F(gas_dz), u, _F(du), 0, out[g])
        transmission(depth[g], dust_index[g], dust_left, 0, left)
        transmission(depth[g], dust_index[g], dust_right, 0, right)
        escaping = out[g, lyman_alpha] * lya_escape[g]
        for i in range(len(fraction)):
            out[g, i] *= (1.0 - fraction[i]) * left[i] + fraction[i] * right[i]
        if not np.isnan(escaping):
            out[g, lyman_alpha] = escaping
