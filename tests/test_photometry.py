import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sedpy.observate import Filter as SedpyFilter

from mocksed import photometry
from mocksed.errors import UserError
from mocksed.photometry import Filter, absolute_magnitude, band_weights, load, top_hat

NAMES = ("bessell_U", "bessell_V", "twomass_J", "jwst_f277w", "sdss_g0", "galex_FUV")
BANDS = {name: load(name) for name in NAMES}
LSUN, TEN_PARSEC, LIGHT = 3.839e33, 3.08568e19, 2.9979e18  # erg/s, cm, A/s


def grid(n=3000):
    return np.geomspace(500.0, 100_000.0, n)


def mean(band, function):
    """The mean of a function of wavelength for photons, over a fine grid."""
    wavelength = np.linspace(band.wavelength[0], band.wavelength[-1], 400_001)
    photons = np.interp(wavelength, band.wavelength, band.transmission) / wavelength
    return np.trapezoid(function(wavelength) * photons, wavelength) / np.trapezoid(photons, wavelength)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [30, 3000])
def test_weights_sum_to_one_on_any_grid(name, n):
    assert_allclose(band_weights(grid(n), BANDS[name]).sum(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [30, 3000])
def test_exact_for_a_spectrum_linear_in_the_logarithm(name, n):
    wavelength, band = grid(n), BANDS[name]
    found = band_weights(wavelength, band) @ (3.0 + 2.0 * np.log(wavelength))
    assert_allclose(found, mean(band, lambda x: 3.0 + 2.0 * np.log(x)), rtol=1e-7)


@given(st.integers(0, 2999), st.sampled_from(NAMES))
def test_weights_lie_within_the_filter(node, name):
    wavelength, band = grid(), BANDS[name]
    weights = band_weights(wavelength, band)
    low, high = band.wavelength[band.transmission > 0][[0, -1]]
    near = wavelength[max(node - 1, 0)] < high * 1.01 and wavelength[min(node + 1, 2999)] > low * 0.99
    assert weights[node] == 0.0 or near
    assert weights[node] >= -1e-12


def test_zero_magnitude_is_3631_jansky():
    """At 10 pc, of L_nu = 4 pi d^2 f_nu."""
    per_f_nu = 4.0 * np.pi * TEN_PARSEC**2 / LSUN
    assert_allclose(absolute_magnitude(10.0 ** (-0.4 * 48.60) * per_f_nu), 0.0, atol=1e-12)
    weights = band_weights(grid(), BANDS["bessell_V"])
    flat = np.full(3000, 3631e-23 * per_f_nu)
    assert_allclose(absolute_magnitude(weights @ flat), 0.0, atol=1e-4)  # 48.60 is rounded
    assert_allclose(absolute_magnitude(weights @ (100.0 * flat)), -5.0, atol=1e-4)


def test_no_light_has_no_magnitude():
    assert absolute_magnitude(np.array([0.0, -1.0])).tolist() == [np.inf, np.inf]
    found = photometry.apparent_magnitude(np.array([[0.0], [1.0]]), np.zeros(2), np.array([40.0, 40.0]))
    assert np.isnan(found[0, 0])
    assert np.isfinite(found[1, 0])


def test_apparent_magnitudes_are_redshifted_and_farther_off():
    l_nu = np.array([[1e20, 3e20], [1e22, 1e22]])
    found = photometry.apparent_magnitude(l_nu, np.array([0.0, 3.0]), np.array([5.0, 42.0]))
    expected = absolute_magnitude(l_nu) + np.array([[5.0], [42.0 - 2.5 * np.log10(4.0)]])
    assert_allclose(found, expected, rtol=1e-14)


def test_top_hat_is_the_mean_over_wavelength():
    band = top_hat("uv", 1450.0, 1550.0)
    wavelength = np.linspace(1000.0, 2000.0, 20_001)
    half_a_step = 0.5e-4  # of the table in ln(wavelength), to which the edges are known
    # linear in wavelength, so the mean is the value in the middle
    assert_allclose(band_weights(wavelength, band) @ wavelength, 1500.0, rtol=half_a_step)
    square = (1550.0**3 - 1450.0**3) / 300.0
    assert_allclose(band_weights(wavelength, band) @ wavelength**2, square, rtol=2 * half_a_step)


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
    assert_allclose(found, mean(band, lambda x: spectrum(x / (1.0 + redshift))), rtol=1e-4)


def test_redshifted_fluxes_are_those_of_the_shifted_filters():
    wavelength, rng = grid(), np.random.default_rng(0)
    redshift = np.array([0.0, 1.2, 3.0])  # at 1.2 the absorption ends within V
    spectra = rng.uniform(0.5, 2.0, (3, 3000)).astype(np.float32)
    seen = rng.random((3, 900)).astype(np.float32)
    names = ("jwst_f277w", "bessell_V", "sdss_g0", "bessell_V")  # they overlap
    found = photometry.redshifted_fluxes(wavelength, spectra, redshift, seen, names)
    absorbed = spectra.astype(float)
    absorbed[:, :900] *= seen
    for row, z in enumerate(redshift):
        for column, name in enumerate(names):
            expected = band_weights(wavelength, BANDS[name].at_redshift(z)) @ absorbed[row]
            assert_allclose(found[row, column], expected, rtol=1e-4)
    assert photometry.redshifted_fluxes(wavelength, spectra, redshift, seen, ()).shape == (3, 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slope", [-2.0, 0.0, 1.0])
def test_ab_magnitudes_of_sedpy(name, slope):
    wavelength = np.geomspace(500.0, 100_000.0, 20_000)
    l_nu = 1e-3 * (wavelength / 5000.0) ** (2.0 + slope)
    f_lambda = l_nu * LSUN / (4.0 * np.pi * TEN_PARSEC**2) * LIGHT / wavelength**2
    found = absolute_magnitude(band_weights(wavelength, BANDS[name]) @ l_nu)
    assert_allclose(found, SedpyFilter(name).ab_mag(wavelength, f_lambda), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("low", "high"), [(1500.0, 1e5), (500.0, 1700.0)])
def test_a_filter_beyond_the_wavelengths_is_named(low, high):
    limits = re.escape(f"{low:g} to {high:g} A")
    with pytest.raises(UserError, match=f"'galex_FUV' reaches beyond the wavelengths .* {limits}"):
        band_weights(np.array([low, 1600.0, high]), BANDS["galex_FUV"])


def test_an_unknown_filter_is_named():
    with pytest.raises(UserError, match="'hst_typo'"):
        load("hst_typo")


def test_filters_are_those_of_sedpy():
    assert set(NAMES) < set(photometry.available())
    band = load("twomass_J")
    assert isinstance(band, Filter)
    assert band.name == "twomass_J"
    assert_array_equal(band.wavelength, SedpyFilter("twomass_J").wavelength)
    assert np.all(np.diff(band.wavelength) > 0.0)
