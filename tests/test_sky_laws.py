import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import gamma

from mocksed.cosmology import Cosmology
from mocksed.sky import laws

COSMO = Cosmology(70.0, 0.3)


def test_schechter_functions_at_the_knee():
    # y = 1 for every slope, and dM = 2.5 dlog10 L
    assert_allclose(laws.schechter_mag(-20.9, -20.9, 1e-3, -1.7), 0.4 * np.log(10.0) * 1e-3 / np.e)
    assert_allclose(laws.schechter_dex(10.7, 10.7, 1e-3, -1.3), np.log(10.0) * 1e-3 / np.e)


def test_schechter_function_of_bouwens2021_by_hand():
    # M - M* = 2.12, y = 10^-0.848 = 0.14191: 0.92103 x 0.0021 x y^-0.61 x exp(-y) = 0.0055231
    assert_allclose(laws.schechter_mag(-18.75, -20.87, 0.0021, -1.61), 0.0055231, rtol=2e-4)


def test_schechter_function_integrates_to_the_gamma_function():
    found, _ = quad(lambda log_m: 10.0 ** (log_m - 10.5) * laws.schechter_dex(log_m, 10.5, 2e-3, -1.4), 2.0, 13.0)
    assert_allclose(found, 2e-3 * gamma(0.6), rtol=1e-4)


def test_double_schechter_function_is_the_sum():
    both = laws.double_schechter_dex([9.0, 11.0], 10.78, 1.187e-3, -1.38, 1.92e-3, -0.43)
    each = [laws.schechter_dex([9.0, 11.0], 10.78, *one) for one in ((1.187e-3, -1.38), (1.92e-3, -0.43))]
    assert_allclose(both, each[0] + each[1])


def test_double_power_law_at_the_knee_and_far_from_it():
    assert_allclose(laws.double_power_law_mag(-21.0, -21.0, 1e-4, -2.0, -5.0), 0.5e-4)
    faint = laws.double_power_law_mag([-12.0, -11.0], -21.0, 1e-4, -2.0, -5.0)
    bright = laws.double_power_law_mag([-30.0, -29.0], -21.0, 1e-4, -2.0, -5.0)
    assert_allclose(np.diff(np.log10(faint)), 0.4, atol=1e-6)
    assert_allclose(np.diff(np.log10(bright)), 1.6, atol=1e-6)


def test_broken_power_law_at_the_knee_and_far_from_it():
    # 1 + (e - 1) = e: as high as a Schechter function there
    assert_allclose(laws.broken_power_law_dex(42.5, 42.5, 1e-3, -1.6, 2.9), np.log(10.0) * 1e-3 / np.e)
    bright = laws.broken_power_law_dex([49.0, 50.0], 42.5, 1e-3, -1.6, 2.9)
    assert_allclose(np.diff(np.log10(bright)), -1.6 + 1.0 - 2.9, atol=1e-6)


@pytest.mark.parametrize(("redshift", "log_l_star", "grown"), [(0.0, 41.5, 1.0), (1.3, 41.5 + 2 * np.log10(2.3), 2.3)])
def test_pozzetti_model_1_at_its_knee(redshift, log_l_star, grown):
    found = laws.pozzetti2016(log_l_star, redshift, 1, -1.35, 10**-2.8, 41.5, np.nan, np.nan, 2.0, 1.3)
    assert_allclose(found, np.log(10.0) / np.e * 10**-2.8 * grown)


def test_pozzetti_model_1_turns():
    at = [laws.pozzetti2016(41.5 + 2 * np.log10(1 + z), z, 1, -1.35, 1e-3, 41.5, 0, 0, 2.0, 1.3) for z in (1.3, 3.6)]
    assert_allclose(at[1] / at[0], 0.5)  # 1 + z is twice what it was


@pytest.mark.parametrize(("model", "at_turn"), [(2, 42.59), (3, 41.733)])
def test_knees_of_pozzetti_models_2_and_3(model, at_turn):
    parameters = {
        2: (-1.4, 1e-3, 42.59, np.nan, np.nan, 0.22, 2.23),
        3: (-1.587, 1e-3, 42.956, 2.288, 1.223, 1.615, 0.5),
    }[model]
    found = laws.pozzetti2016(at_turn, parameters[-1], model, *parameters)
    assert_allclose(found, np.log(10.0) * 1e-3 / np.e)
    with pytest.raises(ValueError, match="model 4"):
        laws.pozzetti2016(42.0, 1.0, 4, *parameters)


def test_counts_above_a_flux_by_hand():
    """One emitter per Mpc^3 and dex up to 10^42 erg/s, in a shell so thin that distances are those of its middle."""
    distance = 6607.66  # of luminosity at z = 1 [Mpc], twice that of volumes
    flux = 1e42 / (4.0 * np.pi * (distance * 3.0856776e24) ** 2) / 10.0  # one dex fainter
    found = laws.counts_above(lambda log_l, z: 1.0 * (log_l < 42.0) * np.ones_like(z), flux, (0.999, 1.001), COSMO)
    per_redshift = 4282.75 / 1.7607 * (distance / 2.0) ** 2 / 3282.81  # c / H0 / E(1) x D^2, per deg^2
    assert_allclose(found, per_redshift * 0.002, rtol=0.01)


def test_counts_of_pozzetti_models():
    """2000 to 4800 per deg^2 above 2e-16 erg/s/cm^2 at 0.9 < z < 1.8 (abstract)."""
    models = {
        1: (-1.35, 10**-2.8, 41.5, np.nan, np.nan, 2.0, 1.3),
        2: (-1.4, 10**-2.7, 42.59, np.nan, np.nan, 0.22, 2.23),
        3: (-1.587, 10**-2.92, 42.956, 2.288, 1.223, 1.615, 0.5),
    }
    found = []
    for model, parameters in models.items():

        def density(log_l, z, model=model, parameters=parameters):
            return laws.pozzetti2016(log_l, z, model, *parameters)

        found.append(laws.counts_above(density, 2e-16, (0.9, 1.8), COSMO))
    assert_allclose([min(found), max(found)], [2000, 4800], rtol=0.02)


def test_sfr_density_of_madau_and_dickinson():
    redshift = np.linspace(0.0, 8.0, 801)
    found = laws.sfr_density(redshift, 0.015, 2.7, 2.9, 5.6)
    assert_allclose(found[0], 0.015 / (1.0 + 2.9**-5.6))
    assert 1.8 < redshift[found.argmax()] < 1.95  # they say about 1.9


def test_hyperbola_of_the_bpt_diagram():
    # Kewley et al. (2013): 0.61 / (x + 0.08 - 0.1833 z) + 1.1 + 0.03 z
    parameters = (0.61, -0.08, 0.1833, 1.1, 0.03)
    assert_allclose(laws.evolving_hyperbola(-0.58, 0.0, *parameters), 0.61 / -0.5 + 1.1)
    assert_allclose(laws.evolving_hyperbola(-0.58, 2.0, *parameters), 0.61 / -0.8666 + 1.16)
    assert np.isnan(laws.hyperbola(0.2, 0.61, -0.08, 1.1)).all()


def test_obscured_share_and_its_attenuation():
    # Whitaker et al. (2017): a = 1.96e9, b = -2.277; exp(-2.277 x 10.5) = 4.14e-11
    share = laws.obscured_share(10.5, 1.96e9, -2.277)
    assert_allclose(share, 1.0 / (1.0 + 1.96 * 0.04137), rtol=1e-3)
    assert_allclose(laws.attenuation([0.0, 0.9, 0.99]), [0.0, 2.5, 5.0], atol=1e-12)


def test_colour_of_mass():
    # at 10^10 erf(0) = 0 and nothing but the evolution is left, which ends at z = 3.3; at 10^11 erf(1) = 0.8427
    parameters = (0.48, 1.15, -0.28, 0.25, 10.35, 3.3, 1.7)
    assert_allclose(laws.v_j_of_mass([10.0, 10.0, 10.0], [0.0, 2.0, 9.0], *parameters), [1.15, 0.59, 0.226])
    assert_allclose(laws.v_j_of_mass(11.0, 1.0, *parameters), 0.48 * 0.8427 + 1.15 - 0.28 + 0.25 * 0.65, atol=1e-4)
    assert_allclose(laws.v_j_of_mass(12.0, 3.0, 0.48, 1.15, 0.1, 0.25, 10.35, 3.3, 1.7), 1.7)  # no redder than that


def test_line():
    assert_allclose(laws.line([1.0, 2.0], -0.5, 0.3), [-0.2, -0.7])
