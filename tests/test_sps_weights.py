import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expi

from mocksed.sps.weights import (
    HISTORIES,
    history,
    mean_sfr_per_mass_formed,
    psi_n,
    sfr_per_mass_formed,
    ssp_weights,
    survival,
)

LOG_AGE = np.arange(5.5, 10.151, 0.05)

ages = st.floats(1e-3, 13.8)
taus = st.floats(0.1, 100.0)


SFR = {
    "delayed_tau": lambda began, age, tau: began * np.exp((age - began) / tau - age / tau),
    "tau": lambda began, age, tau: np.exp(-began / tau),
    "constant": lambda began, age, tau: 1.0,
}


def weights(age, tau, log_age=LOG_AGE, name="delayed_tau"):
    out = np.full(len(log_age), np.nan)
    used = ssp_weights(history(name, log_age), age, tau, out)
    assert np.all(out[used:] == 0.0)
    return out


def by_adaptive_quadrature(age, tau, node, name, log_age):
    """Integrate the history against the hat function of one node; below the youngest and beyond the oldest it is 1."""
    nodes = 10.0 ** (log_age - 9.0)

    def integrand(lookback):
        hat = np.interp(np.log10(lookback) + 9.0, log_age, np.eye(len(log_age))[node])
        return SFR[name](age - lookback, age, tau) * hat

    low = 0.0 if node == 0 else nodes[node - 1]
    edges = [low, nodes[node], nodes[node + 1] if node + 1 < len(nodes) else age]
    pieces = [(a, min(b, age)) for a, b in itertools.pairwise(edges) if a < age and b > a]
    total = quad(SFR[name], 0.0, age, args=(age, tau), epsabs=0, epsrel=1e-12, limit=500)[0]
    return sum(quad(integrand, a, b, epsabs=0, epsrel=1e-11, limit=200)[0] for a, b in pieces) / total


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("step", [1, 3], ids=["SSPs as of FSPS", "few SSPs"])
@pytest.mark.parametrize(("age", "tau"), [(0.001, 100.0), (0.05, 0.1), (1.0, 1.0), (5.0, 10.0), (13.0, 0.1)])
def test_weights_are_the_integrals_over_the_hat_functions(age, tau, step, name):
    log_age = LOG_AGE[::step]
    found = weights(age, tau, log_age, name)
    for node in np.array([0, 10, 30, 51, 69, 81, 87]) // step:
        expected = by_adaptive_quadrature(age, tau, node, name, log_age)
        assert found[node] == pytest.approx(expected, rel=1e-8, abs=1e-14)


@pytest.mark.parametrize("name", HISTORIES)
def test_the_oldest_ssp_stands_for_what_is_older(name):
    log_age = LOG_AGE[LOG_AGE < 9.51]
    found = weights(13.0, 5.0, log_age, name)
    for node in (len(log_age) - 3, len(log_age) - 2, len(log_age) - 1):
        expected = by_adaptive_quadrature(13.0, 5.0, node, name, log_age)
        assert found[node] == pytest.approx(expected, rel=1e-8)
    assert found[-1] > 0.5


@pytest.mark.parametrize("name", HISTORIES)
def test_the_youngest_ssp_stands_for_what_is_younger(name):
    """Also where the SFR changes by factors while stars are younger than that."""
    log_age = LOG_AGE[LOG_AGE > 8.49]
    expected = by_adaptive_quadrature(1.0, 0.1, 0, name, log_age)
    assert weights(1.0, 0.1, log_age, name)[0] == pytest.approx(expected, rel=1e-8)


def test_weights_agree_with_the_closed_form_of_fsps():
    """intsfwght.f90 where it is well conditioned, age about tau."""
    age, tau = 5e9, 3e9

    def integral(log_node, t):
        log_e = np.log10(np.e)
        first = ((t - age - tau) * (np.log10(t) - log_node) - tau * log_e) * np.exp(t / tau)
        return first + (age + tau) * log_e * expi(t / tau)

    i = 80  # log age 9.5, fully inside the history
    low, node, high = LOG_AGE[i - 1 : i + 2]
    right = (integral(high, 10**high) - integral(high, 10**node)) / (high - node)
    left = (integral(low, 10**node) - integral(low, 10**low)) / (node - low)
    # the mass formed, in the units of the integrals
    formed = tau * (np.exp(age / tau) - 1.0 - age / tau)
    assert weights(5.0, 3.0)[i] == pytest.approx((right - left) / formed, rel=1e-8)


@given(ages, taus, st.sampled_from(HISTORIES))
def test_weights_are_positive_and_sum_to_one(age, tau, name):
    found = weights(age, tau, name=name)
    assert np.all(found >= 0.0)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


def test_no_weight_beyond_the_node_above_the_age():
    found = weights(1.0, 1.0)
    node = np.searchsorted(LOG_AGE, 9.0)
    assert found[node - 1] > 0.0
    assert not np.any(found[node + 1 :])


def test_everything_is_in_the_youngest_ssp_below_its_age():
    assert weights(1e-4, 1.0)[0] == 1.0


@pytest.mark.parametrize(
    ("age", "tau", "expected"), [(1, 1, 1.39221), (5, 10, 0.336199), (5, 100, 0.393361), (0.5, 100, 3.99334)]
)
def test_psi_n_has_the_check_values(age, tau, expected):
    assert psi_n(float(age), float(tau)) == pytest.approx(expected, rel=3e-6)


def test_psi_n_tends_to_two_over_the_age():
    assert psi_n(1e-3, 100.0) == pytest.approx(2000.0, rel=1e-5)


@given(ages, taus, st.sampled_from(HISTORIES))
def test_the_sfr_is_relative_to_the_mass_formed(age, tau, name):
    mass = quad(SFR[name], 0.0, age, args=(age, tau), epsabs=0, epsrel=1e-12, limit=500)[0]
    assert sfr_per_mass_formed(name, age, tau) == pytest.approx(SFR[name](age, age, tau) / mass, rel=1e-9)


def test_the_sfr_of_arrays_has_their_shape():
    for name in HISTORIES:
        assert np.shape(sfr_per_mass_formed(name, np.ones(3), np.full(3, 2.0))) == (3,)


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.0, [1.0, 0.8, 0.6]), (0.25, [1.0, 0.75, 0.5]), (1.0, [1.0, 0.6, 0.2])]
)
def test_survival_is_the_weighted_mean_between_two_metallicities(fraction, expected):
    low, high, weight = np.array([1.0, 0.8, 0.6]), np.array([1.0, 0.6, 0.2]), np.array([0.5, 0.2, 0.3])
    assert survival(weight, 3, low, high, fraction) == pytest.approx(weight @ expected)
    assert survival(weight, 2, low, high, fraction) == pytest.approx(weight[:2] @ expected[:2])


@given(ages, taus, st.sampled_from(HISTORIES), st.sampled_from([0.01, 0.1]))
def test_the_mean_sfr_is_that_of_the_mass_formed_in_the_time(age, tau, name, over):
    def formed(start):
        return quad(SFR[name], start, age, args=(age, tau), epsabs=0, epsrel=1e-12, limit=500)[0]

    expected = formed(max(age - over, 0.0)) / formed(0.0) / over
    assert mean_sfr_per_mass_formed(name, age, tau, over) == pytest.approx(expected, rel=1e-8)
