import re

import numba
import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sedpy.observate import Filter as SedpyFilter
from sedpy.observate import getSED

from mocksed.errors import UserError
from mocksed.sps import fsps, igm
from mocksed.sps.filters import Filter, load, top_hat
from mocksed.sps.photometry import (
    absolute_magnitude,
    apparent_magnitude,
    band_weights,
    check_reach,
    mean_fluxes,
    windows,
)

NAMES = ("bessell_U", "bessell_V", "twomass_J", "jwst_f277w", "sdss_g0", "galex_FUV", "jwst_f410m", "Euclid-VIS")
BANDS = {name: load(name) for name in NAMES}
LSUN, TEN_PARSEC, LIGHT = 3.839e33, 3.08568e19, 2.9979e18  # erg/s, cm, A/s


def grid(n=3000):
    return np.geomspace(500.0, 100_000.0, n)


N_SEEN = np.sum(grid() < igm.LYMAN_ALPHA) + 1
"""Transmissions of the intergalactic medium on that grid."""


def mean(band, function):
    """The mean of a function of wavelength for photons, over a fine grid."""
    wavelength = np.unique(np.concatenate([np.linspace(*band.wavelength[[0, -1]], 400_001), band.wavelength]))
    photons = np.interp(wavelength, band.wavelength, band.transmission) / wavelength
    return np.trapezoid(function(wavelength) * photons, wavelength) / np.trapezoid(photons, wavelength)


def absorbed(wavelength, spectrum, seen):
    """Nodes and values of an absorbed spectrum, with two nodes, all but at one wavelength, for the step."""
    i = np.searchsorted(wavelength, igm.LYMAN_ALPHA)
    nodes = np.insert(wavelength, i, igm.LYMAN_ALPHA * (1.0 - np.array([2e-12, 1e-12])))
    values = linear(wavelength, spectrum)(nodes)
    values[: len(seen)] *= seen
    return nodes, values


def linear(wavelength, spectrum):
    """A spectrum that is linear in the logarithm of the wavelength between its nodes."""
    return lambda x: np.interp(np.log(x), np.log(wavelength), spectrum)


# Windows


def test_only_the_windows_of_filters_are_read():
    rng, bands, rest_frame = np.random.default_rng(1), list(BANDS.values())[:4], [BANDS["galex_FUV"]]
    spectra, redshift = rng.random((200, 3000)), np.concatenate([[0.0], rng.uniform(0.0, 5.0, 199)])
    pixel = np.arange(3000)

    def inside(window):
        return (pixel >= window[:, :1]) & (pixel < window[:, 1:])

    seen = igm.transmission("inoue2014", grid(), redshift)
    of_both = windows(grid(), bands, redshift, rest_frame)
    for of, at in ((bands, redshift), (rest_frame, np.zeros(200))):
        needed = inside(windows(grid(), of, at))
        assert np.all(inside(of_both)[needed])
        read = np.where(needed, spectra, np.nan)
        for transmission in (None, seen):
            whole, some = (mean_fluxes(grid(), values, of, at, transmission) for values in (spectra, read))
            assert_array_equal(some, whole)
        for edge in (needed.argmax(axis=1), 2999 - needed[:, ::-1].argmax(axis=1)):  # no wider than it has to be
            brighter = spectra.copy()
            brighter[np.arange(200), edge] += 1e9
            assert np.all((mean_fluxes(grid(), brighter, of, at) != mean_fluxes(grid(), spectra, of, at)).any(axis=1))


# Weights


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [30, 3000])
def test_weights_sum_to_one_on_any_grid(name, n):
    assert_allclose(band_weights(grid(n), BANDS[name]).sum(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [30, 3000])
def test_exact_for_a_spectrum_linear_in_the_logarithm(name, n):
    wavelength, band = grid(n), BANDS[name]
    found = band_weights(wavelength, band) @ (3.0 + 2.0 * np.log(wavelength))
    assert_allclose(found, mean(band, lambda x: 3.0 + 2.0 * np.log(x)), rtol=1e-8)


@given(st.integers(0, 2999), st.sampled_from(NAMES))
def test_weights_lie_within_the_filter(node, name):
    wavelength, band = grid(), BANDS[name]
    weights = band_weights(wavelength, band)
    low, high = band.wavelength[[0, -1]]
    near = wavelength[max(node - 1, 0)] < high and wavelength[min(node + 1, 2999)] > low
    assert weights[node] == 0.0 or near
    assert weights[node] >= -1e-12


def test_top_hat_is_the_mean_over_wavelength():
    band = top_hat("uv", 1450.0, 1550.0)
    wavelength = np.linspace(1000.0, 2000.0, 20_001)
    # linear in wavelength, so the mean is the value in the middle
    assert_allclose(band_weights(wavelength, band) @ wavelength, 1500.0, rtol=1e-8)
    square = (1550.0**3 - 1450.0**3) / 300.0
    assert_allclose(band_weights(wavelength, band) @ wavelength**2, square, rtol=1e-8)


def test_a_filter_may_end_where_the_spectrum_does():
    wavelength = np.array([1000.0, 1300.0, 2000.0])
    for low, high in ((1000.0, 2000.0), (1000.0, 1300.0), (1300.0, 2000.0), (1001.0, 1002.0)):
        weights = band_weights(wavelength, top_hat("edge", low, high))
        assert_allclose(weights.sum(), 1.0, rtol=1e-12)
        assert_allclose(weights @ np.log(wavelength), mean(top_hat("edge", low, high), np.log), rtol=1e-9)


# Fluxes


@given(st.integers(2, 400), st.integers(0, 2**32), st.sampled_from(NAMES), st.floats(0.0, 1.5))
def test_fluxes_are_integrals_over_the_observed_spectrum(n_wave, seed, name, redshift):
    """On any grid, however coarse or uneven, and for any spectrum."""
    rng = np.random.default_rng(seed)
    wavelength = np.sort(np.concatenate([[500.0, 100_000.0], np.exp(rng.uniform(*np.log([500.0, 1e5]), n_wave - 2))]))
    spectrum = rng.uniform(0.0, 1.0, n_wave)
    found = mean_fluxes(wavelength, spectrum[None], [BANDS[name]], np.array([redshift]))[0, 0]
    assert_allclose(found, mean(BANDS[name], linear(wavelength * (1.0 + redshift), spectrum)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("redshift", [0.0, 1.0, 7.0])
def test_a_filter_at_a_redshift_sees_the_rest_frame(redshift):
    """The mean over the filter of a redshifted spectrum is that of the spectrum over the shifted filter."""
    band = BANDS["jwst_f277w"]
    rest = band.at_redshift(redshift)
    assert_array_equal(rest.wavelength * (1.0 + redshift), band.wavelength)
    assert_array_equal(rest.transmission, band.transmission)
    wavelength = grid()

    def spectrum(x):
        return 1.0 + np.sin(5.0 * np.log(x))

    found = band_weights(wavelength, rest) @ spectrum(wavelength)
    assert_allclose(found, mean(band, lambda x: spectrum(x / (1.0 + redshift))), rtol=1e-5)


def test_fluxes_are_those_of_the_shifted_filters():
    wavelength, rng = grid(), np.random.default_rng(0)
    redshift = np.array([0.0, 2.8, 3.4])  # Lyman alpha is in g, and in g and V
    spectra = rng.uniform(0.5, 2.0, (3, 3000)).astype(np.float32)
    seen = rng.random((3, N_SEEN)).astype(np.float32)
    bands = [BANDS[name] for name in ("jwst_f277w", "bessell_V", "sdss_g0", "bessell_V")]  # they overlap
    found = mean_fluxes(wavelength, spectra, bands, redshift, seen)
    for row, z in enumerate(redshift):
        nodes, values = absorbed(wavelength, spectra[row], seen[row])
        for column, band in enumerate(bands):
            assert_allclose(found[row, column], band_weights(nodes, band.at_redshift(z)) @ values, rtol=1e-5)
    in_rest_frame = mean_fluxes(wavelength, spectra, bands)
    assert_allclose(in_rest_frame, spectra @ np.stack([band_weights(wavelength, b) for b in bands]).T, rtol=1e-6)
    assert mean_fluxes(wavelength, spectra, [], redshift, seen).shape == (3, 0)
    assert mean_fluxes(wavelength, spectra[:0], bands).shape == (0, 4)


def test_every_galaxy_is_what_it_is_alone_with_any_number_of_threads():
    wavelength, rng = grid(), np.random.default_rng(0)
    redshift, spectra = rng.uniform(0.0, 1.6, 40), rng.random((40, 3000)).astype(np.float32)
    seen = rng.random((40, N_SEEN)).astype(np.float32)
    bands = list(BANDS.values())
    at_step = [b.wavelength[0] < igm.LYMAN_ALPHA * (1.0 + z) < b.wavelength[-1] for b in bands for z in redshift]
    assert sum(at_step) > 5
    together = mean_fluxes(wavelength, spectra, bands, redshift, seen)
    for i in range(40):
        alone = mean_fluxes(wavelength, spectra[i : i + 1], bands[i % 8 :], redshift[i : i + 1], seen[i : i + 1])
        assert alone.tobytes() == together[i, i % 8 :].tobytes()
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert mean_fluxes(wavelength, spectra, bands, redshift, seen).tobytes() == together.tobytes()
    finally:
        numba.set_num_threads(threads)


def test_nothing_is_received_where_there_is_only_rounding():
    wavelength = np.geomspace(1000.0, 2000.0, 400)
    band = Filter(
        "opaque beyond 1600", np.array([1340.0, 1500.0, 1600.0, 1800.0, 1801.0]), np.array([0.0, 0.3, 0.0, 0.0, 0.1])
    )
    spectra = 1e20 * np.stack([np.abs(wavelength - 1700.0) < 50.0, wavelength > 1590.0, wavelength < 1300.0])
    dark, bright, blue = mean_fluxes(wavelength, spectra, [band])[:, 0]
    assert dark == blue == 0.0
    assert bright > 1e16


# The step at Lyman alpha


def at_the_step(name, redshift, part):
    """A curve, moved so that a part of its range lies blueward of Lyman alpha."""
    curve = BANDS[name].wavelength
    at = curve[0] + part * (curve[-1] - curve[0])
    return Filter(f"{name} at {part}", curve * (igm.LYMAN_ALPHA * (1.0 + redshift) / at), BANDS[name].transmission)


@pytest.mark.parametrize("model", igm.MODELS)
@pytest.mark.parametrize("redshift", [0.5, 2.0, 4.0, 7.0, 11.0])
def test_the_step_is_resolved(model, redshift, engine):
    """As by quadrature of what is linear up to the step, and as over a fine grid of the model itself."""
    spectrum = engine.spectra(0.1, 1.0, -0.5, -2.5, 0.3, nebular=True)
    seen = igm.transmission(model, engine.wavelength, [redshift])
    nodes, values = absorbed(engine.wavelength, spectrum[0], seen[0])
    emitted = linear(engine.wavelength, spectrum[0])

    def received(observed):
        rest = observed / (1.0 + redshift)
        below = rest[rest < igm.LYMAN_ALPHA]
        passed = np.ones(len(rest))
        passed[: len(below)] = igm.MODELS[model](below, [redshift])[0]
        return emitted(rest) * passed

    parts = (0.03, 0.3, 0.5, 0.7, 0.9, 0.97)
    bands = [at_the_step(name, redshift, part) for name in ("jwst_f410m", "jwst_f277w", "Euclid-VIS") for part in parts]
    found = mean_fluxes(engine.wavelength, spectrum, bands, np.array([redshift]), seen)[0]
    expected = [gauss_mean(band, nodes * (1.0 + redshift), values) for band in bands]
    assert_allclose(found, expected, rtol=1e-5, atol=1e-7 * spectrum[0, seen.shape[1]])  # rounding of the filter
    without = mean_fluxes(engine.wavelength, spectrum, bands, np.array([redshift]))[0]
    lyman_beta = 1025.72 * (1.0 + redshift)
    alone = [i for i, band in enumerate(bands) if band.wavelength[0] > lyman_beta]  # which has a step of its own
    assert len(alone) > 5
    of_model = np.array([mean(bands[i], received) for i in alone])
    assert_allclose(found[alone] / without[alone], of_model / without[alone], rtol=0, atol=3e-4)


@pytest.mark.parametrize("model", igm.MODELS)
@pytest.mark.parametrize("redshift", [2.0, 6.0, 10.0])
def test_no_light_crosses_the_step(model, redshift, engine):
    """Just blueward all is dimmed, as the model says, and just redward nothing."""
    spectrum = engine.spectra(0.1, 1.0, -0.5, -2.5, 0.3, nebular=True)
    step = igm.LYMAN_ALPHA * (1.0 + redshift)
    bands = [top_hat("blue", 0.999 * step, step * (1.0 - 1e-9)), top_hat("red", step * (1.0 + 1e-9), 1.001 * step)]
    at = np.array([redshift])
    seen = igm.transmission(model, engine.wavelength, at)
    without, within = (mean_fluxes(engine.wavelength, spectrum, bands, at, t)[0] for t in (None, seen))
    blue, red = within / without
    near = igm.MODELS[model](np.linspace(0.999, 1.0, 50) * igm.LYMAN_ALPHA, at)[0]
    assert near.min() < blue < near.max()
    assert near.max() < 0.9
    assert_allclose(red, 1.0, rtol=1e-9)
    dark = mean_fluxes(engine.wavelength, spectrum, bands, at, np.zeros_like(seen))[0]
    assert dark[0] == 0.0
    assert_allclose(dark[1], without[1], rtol=1e-9)


@pytest.mark.parametrize(
    "nodes", [(), (1215.0,), (1215.67,), (1215.0, 1215.67), (1215.67, 1216.0), (1215.6699, 1215.6701), (1300.0, 1400.0)]
)
def test_the_step_may_be_anywhere_between_nodes(nodes):
    wavelength = np.array([500.0, *nodes, 100_000.0])
    rng = np.random.default_rng(len(nodes))
    spectrum, seen = rng.uniform(0.5, 2.0, len(wavelength)), rng.random(np.sum(wavelength < igm.LYMAN_ALPHA) + 1)
    bands = [at_the_step("jwst_f410m", 0.0, part) for part in (-0.1, 0.01, 0.5, 0.99, 1.1)]
    found = mean_fluxes(wavelength, spectrum[None], bands, None, seen[None].astype(np.float32))[0]
    assert_allclose(found, [gauss_mean(band, *absorbed(wavelength, spectrum, seen)) for band in bands], rtol=1e-6)


@pytest.mark.parametrize(("first", "last", "of"), [(500.0, 1200.0, 0.25), (1250.0, 2000.0, 1.0)])
def test_spectra_may_end_before_the_step_or_begin_after_it(first, last, of):
    wavelength = np.geomspace(first, last, 20)
    seen = np.full((1, np.sum(wavelength < igm.LYMAN_ALPHA) + 1), 0.25, np.float32)
    band = top_hat("all", first, last)
    assert_allclose(mean_fluxes(wavelength, np.ones((1, 20)), [band], None, seen), of, rtol=1e-12)


# Magnitudes

any_spectrum = arrays(np.float64, 60, elements=st.floats(1e-3, 1e3))


@given(any_spectrum, st.floats(1e-6, 1e6), st.sampled_from(NAMES))
def test_a_brighter_spectrum_is_brighter_by_its_factor(spectrum, factor, name):
    wavelength = grid(60)
    both = mean_fluxes(wavelength, np.stack([spectrum, factor * spectrum]), [BANDS[name]])[:, 0]
    assert_allclose(np.diff(absolute_magnitude(both)), -2.5 * np.log10(factor), rtol=0, atol=1e-9)


@given(st.floats(1e-10, 1e30), st.sampled_from(NAMES), st.floats(0.0, 1.5))
def test_a_flat_spectrum_has_the_same_magnitude_in_every_filter(level, name, redshift):
    flux = mean_fluxes(grid(60), np.full((1, 60), level), [BANDS[name]], np.array([redshift]))
    assert_allclose(flux, level, rtol=1e-12)


@given(any_spectrum, st.floats(1e-6, 1e6), st.sampled_from(NAMES))
def test_the_normalisation_of_a_filter_does_not_matter(spectrum, factor, name):
    band = BANDS[name]
    scaled = Filter("scaled", band.wavelength, factor * band.transmission)
    found = mean_fluxes(grid(60), spectrum[None], [band, scaled])[0]
    assert_allclose(found[1], found[0], rtol=1e-11)


@given(any_spectrum, any_spectrum, st.sampled_from(NAMES))
def test_fluxes_add_up(one, other, name):
    fluxes = mean_fluxes(grid(60), np.stack([one, other, one + other]), [BANDS[name]])[:, 0]
    assert_allclose(fluxes[0] + fluxes[1], fluxes[2], rtol=1e-11)


@given(any_spectrum, st.sampled_from(NAMES))
def test_a_mean_lies_between_the_faintest_and_the_brightest(spectrum, name):
    flux = mean_fluxes(grid(60), spectrum[None], [BANDS[name]])[0, 0]
    assert spectrum.min() * (1.0 - 1e-9) <= flux <= spectrum.max() * (1.0 + 1e-9)


def test_zero_magnitude_is_3631_jansky():
    """At 10 pc, of L_nu = 4 pi d^2 f_nu."""
    per_f_nu = 4.0 * np.pi * TEN_PARSEC**2 / LSUN
    assert_allclose(absolute_magnitude(10.0 ** (-0.4 * 48.60) * per_f_nu), 0.0, atol=1e-12)
    weights = band_weights(grid(), BANDS["bessell_V"])
    flat = np.full(3000, 3631e-23 * per_f_nu)
    assert_allclose(absolute_magnitude(weights @ flat), 0.0, atol=1e-4)  # 48.60 is rounded
    assert_allclose(absolute_magnitude(weights @ (100.0 * flat)), -5.0, atol=1e-4)


def test_no_light_and_no_distance_have_no_magnitude():
    assert np.all(np.isnan(absolute_magnitude(np.array([0.0, -1.0]))))
    redshift, modulus = np.array([1.0, 1.0, 1.0, 0.0]), np.array([44.0, 44.0, 44.0, -np.inf])
    found = apparent_magnitude(np.array([[0.0], [1e-26], [1e-25], [1.0]]), redshift, modulus)
    assert np.isnan(found).ravel().tolist() == [True, True, False, True]  # the second would be 75.9 mag


def test_apparent_magnitudes_are_redshifted_and_farther_off():
    l_nu = np.array([[1e20, 3e20], [1e22, 1e22]])
    found = apparent_magnitude(l_nu, np.array([0.001, 3.0]), np.array([28.0, 42.0]))
    expected = absolute_magnitude(l_nu) + np.array([[28.0 - 2.5 * np.log10(1.001)], [42.0 - 2.5 * np.log10(4.0)]])
    assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES[:-1])
@pytest.mark.parametrize("slope", [-2.0, 0.0, 1.0])
def test_ab_magnitudes_of_sedpy(name, slope):
    """Sedpy's zero point is 3631 Jy and its speed of light 2.998e18 A/s, which are 2e-5 and 4e-5 mag."""
    wavelength = np.geomspace(500.0, 100_000.0, 20_000)
    l_nu = 1e-3 * (wavelength / 5000.0) ** (2.0 + slope)
    f_lambda = l_nu * LSUN / (4.0 * np.pi * TEN_PARSEC**2) * LIGHT / wavelength**2
    found = absolute_magnitude(mean_fluxes(wavelength, l_nu[None], [BANDS[name]]))[0]
    assert_allclose(found, getSED(wavelength, f_lambda, [SedpyFilter(name)]), rtol=0, atol=1e-3)


def test_magnitudes_of_galaxies_by_sedpy(engine):
    """On a fine grid: sedpy interpolates filters onto the wavelengths of the spectrum."""
    spectra = engine.spectra(np.array([0.01, 1.0, 10.0]), 1.0, -0.3, -2.5, 0.5, nebular=True)
    fine = np.geomspace(1000.0, 60_000.0, 400_001)
    names = ("galex_FUV", "bessell_U", "jwst_f115w", "jwst_f410m", "wfc3_ir_f160w", "lsst_baseline_r", "twomass_J")
    found = absolute_magnitude(mean_fluxes(engine.wavelength, spectra, [load(name) for name in names]))
    for spectrum, magnitudes in zip(spectra, found, strict=True):
        l_nu = linear(engine.wavelength, spectrum.astype(float))(fine)
        f_lambda = l_nu * LSUN / (4.0 * np.pi * TEN_PARSEC**2) * LIGHT / fine**2
        expected = getSED(fine, f_lambda, [SedpyFilter(name) for name in names])
        assert_allclose(magnitudes, expected, rtol=0, atol=2e-4)


# Filters beyond the spectra


@pytest.mark.parametrize(("low", "high"), [(1500.0, 1e5), (500.0, 1700.0)])
def test_a_filter_beyond_the_wavelengths_is_named(low, high):
    wavelength, band = np.array([low, 1600.0, high]), BANDS["galex_FUV"]
    limits = re.escape(f"{low:g} to {high:g} A in the rest frame")
    match = rf"'galex_FUV' \(1340 to 1810 A\) reaches beyond the spectra, {limits}.$"
    with pytest.raises(UserError, match=match):
        band_weights(wavelength, band)
    with pytest.raises(UserError, match=match):
        mean_fluxes(wavelength, np.ones((1, 3)), [band])


def test_a_filter_beyond_the_wavelengths_at_a_redshift():
    wavelength, band = np.geomspace(100.0, 6e4, 50), BANDS["galex_FUV"]
    spectra = np.ones((3, 50))
    limit = band.wavelength[0] / 100.0 - 1.0
    assert_allclose(mean_fluxes(wavelength, spectra, [band], np.array([0.1, 2.0, limit])), 1.0, rtol=1e-9)
    with pytest.raises(UserError, match=r"at redshift 13; it can be used from redshift 0 to 12.4\."):
        mean_fluxes(wavelength, spectra, [band], np.array([0.1, 13.0, 2.0]))
    with pytest.raises(UserError, match=r"'spitzer_mips_24'.* at redshift 0.1; .*from redshift 4.\d\d to 1799"):
        check_reach([load("spitzer_mips_24")], wavelength, np.array([9.0, 0.1]))
    with pytest.raises(UserError, match="it can be used at no redshift"):
        check_reach([load("spitzer_mips_24")], np.array([2e5, 2.1e5]), np.array([0.1]))
    check_reach([band], np.array([3e4, 6e4]), np.array([]))


# FSPS's magnitudes. FSPS interpolates each filter onto the wavelengths of its spectra, moves redshifted spectra onto
# the same wavelengths and takes a trapezium sum over them (sps_setup.f90, getmags.f90). Both lose resolution, so that
# its sum, done again on our spectra, is what must agree with its magnitudes, while ours must agree with an integral by
# quadrature; where that sum is an integral to some accuracy, the two are the same to that accuracy. FSPS also blurs the
# step at Lyman alpha over the nodes around it, which ours does not: filters that see those are left out.

NU_F_NU_CONSTANT = {
    "irac_1": 3.550, "irac_2": 4.493, "irac_3": 5.731, "irac_4": 7.872, "pacs_70": 70.0, "pacs_100": 100.0,
    "pacs_160": 160.0, "spire_250": 250.0, "spire_350": 350.0, "spire_500": 500.0, "iras_12": 12.0, "iras_25": 25.0,
    "iras_60": 60.0, "iras_100": 100.0,
}  # fmt: skip
"""Filters that FSPS normalises for such a spectrum, with its wavelength [um]."""
GREYBODY = {"mips_24": 23.68, "mips_70": 71.42, "mips_160": 155.9}
"""Filters that FSPS normalises for f_nu ~ nu^2."""


def fsps_curve(name):
    """FSPS's own curve; of equal wavelengths it takes the first, and of negative transmissions none."""
    import fsps

    x, t = map(np.asarray, fsps.get_filter(name).transmission)
    kept = np.diff(x, prepend=-1.0) > 0.0
    return x[kept], np.maximum(t[kept], 0.0)


def fsps_weights(wavelength, name):
    """The weights of FSPS's sum over L_nu; they sum to one only for filters that it normalises well."""
    x, transmission = fsps_curve(name)
    first, last = np.searchsorted(wavelength, x[[0, -1]], side="right") - 1
    inside = slice(first, last + 1)  # from the wavelength before the filter, to which FSPS extrapolates
    i = np.clip(np.searchsorted(x, wavelength[inside], side="right") - 1, 0, len(x) - 2)
    slope = np.diff(transmission)[i] / np.diff(x)[i]
    t = np.zeros(len(wavelength))
    t[inside] = transmission[i] + slope * (wavelength[inside] - x[i])
    weights = t / wavelength * np.convolve(np.diff(wavelength), [0.5, 0.5])
    weights = np.maximum(weights / weights.sum(), 0.0)  # what extrapolation made negative is gone, but still counted
    for pivots, power in ((NU_F_NU_CONSTANT, -1), (GREYBODY, -2)):
        if name in pivots:
            weights /= weights @ (wavelength / (1e4 * pivots[name])) ** power
    return weights


def gauss_mean(band, wavelength, spectrum):
    """The mean in a filter of a spectrum as in `linear`, by quadrature between all kinks of both."""
    low, high = band.wavelength[[0, -1]]
    nodes = wavelength[(wavelength > low) & (wavelength < high)]
    kinks = np.unique(np.concatenate([nodes, band.wavelength]))
    position, weight = np.polynomial.legendre.leggauss(4)
    x = kinks[:-1, None] + 0.5 * np.diff(kinks)[:, None] * (position + 1.0)
    photons = np.diff(kinks)[:, None] * weight * np.interp(x, band.wavelength, band.transmission) / x
    return (linear(wavelength, spectrum)(x) * photons).sum() / photons.sum()


@pytest.fixture(scope="module", params=[0.0, 0.3, 2.0, 6.0])
def beside_fsps(request, engine):
    """Magnitudes of some galaxies at a redshift in all filters of FSPS, shapes (n, n_filter), without the distance.

    FSPS's own; its sum over our spectra; ours; integrals by quadrature. The last two have FSPS's zero points: it
    normalises some filters for other spectra than flat ones, and some wrongly. Last, shape (n_filter, ), which filters
    see the nodes around Lyman alpha.
    """
    import fsps as python_fsps

    rng, redshift, wavelength = np.random.default_rng(int(10 * request.param)), request.param, engine.wavelength
    sps, names = fsps.population(), python_fsps.list_filters()
    bands = [Filter(name, *fsps_curve(name)) for name in names]
    weights = np.stack([fsps_weights(wavelength, name) for name in names])
    seen = igm.transmission("madau1995", wavelength, [redshift])
    theirs, sums, ours, fine = [], [], [], []
    for shines in (True, True, True, False):
        age, tau = 10.0 ** rng.uniform(-2.5, 0.0), 10.0 ** rng.uniform(-1.0, 2.0)
        parameters = (age, tau, rng.uniform(-1.9, 0.15), rng.uniform(-4.0, -1.0), rng.uniform(0.0, 2.0))
        fsps.composite(*parameters, nebular=shines)
        fsps.set_options(sps, {"zred": redshift, "add_igm_absorption": True})
        theirs.append(sps.get_mags(tage=age, bands=names))
        fsps.set_options(sps, {"zred": 0.0, "add_igm_absorption": False})
        spectrum = engine.spectra(*parameters, nebular=shines)
        ours.append(mean_fluxes(wavelength, spectrum, bands, np.array([redshift]), seen)[0])
        nodes, received = absorbed(wavelength, spectrum[0], seen[0])
        fine.append([gauss_mean(band, nodes * (1.0 + redshift), received) for band in bands])
        theirs_of_nodes = np.isin(nodes, wavelength)
        sums.append(weights @ np.interp(wavelength, wavelength * (1.0 + redshift), received[theirs_of_nodes]))
    beyond = np.searchsorted(wavelength, igm.LYMAN_ALPHA)
    before, after = wavelength[beyond - 1 : beyond + 1] * (1.0 + redshift)
    at_step = np.array([band.wavelength[0] < after and band.wavelength[-1] > before for band in bands])
    zero_points = weights.sum(axis=1)
    theirs = np.array(theirs)
    theirs[theirs > 90.0] = np.nan  # 99 stands for nothing
    sums, ours, fine = absolute_magnitude(np.array(sums)), *(absolute_magnitude(zero_points * x) for x in (ours, fine))
    distance = np.nanmedian(theirs - sums) if redshift else 0.0
    cosmo = FlatLambdaCDM(H0=72.0, Om0=0.27)  # FSPS's
    expected = cosmo.distmod(redshift).value - 2.5 * np.log10(1.0 + redshift) if redshift else 0.0
    assert distance == pytest.approx(expected, abs=1e-3)
    return theirs - distance, sums, ours, fine, at_step


@pytest.mark.fsps
@pytest.mark.slow
def test_magnitudes_of_fsps(beside_fsps):
    theirs, sums, ours, fine, at_step = beside_fsps
    seen = np.isfinite(theirs)
    assert seen.mean() > 0.85
    assert_allclose(sums[seen], theirs[seen], rtol=0, atol=2e-3)
    assert_allclose(ours, fine, rtol=0, atol=1e-4)
    resolved = seen & ~at_step & (np.abs(sums - fine) < 1e-3)
    assert resolved[seen & ~at_step].mean() > 0.5  # 0.89 in the rest frame, 0.79 at redshift 2
    assert_allclose(ours[resolved], theirs[resolved], rtol=0, atol=2e-3)
