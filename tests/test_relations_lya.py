import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed.relations import lya


def test_the_escape_fraction_grows_with_redshift_to_unity():
    assert_allclose(lya.hayes2011([11.1, 14.0]), 1.0)
    assert lya.hayes2011(2.2) == pytest.approx(0.033, abs=5e-4)
    assert lya.hayes2011(6.0) == pytest.approx(0.245, abs=5e-4)
    assert lya.hayes2011(6.0) / lya.hayes2011(2.5) == pytest.approx(2.0**2.57)


@pytest.mark.parametrize(
    ("log_mstar", "share", "mean"),
    [
        (7.0, 1.0, 47.44),
        (7.6, 1.0, 47.44),
        (9.0, 0.67, 25.6),
        (10.0, 0.41, 10.0),
        (10.6, 0.254, 0.64),
        (12.0, 0.254, 0.64),
    ],
)
def test_drawn_widths_have_the_share_and_the_mean_of_their_mass(log_mstar, share, mean):
    n = 100_000
    width = lya.oyarzun2016(np.full(n, log_mstar), (np.arange(n) + 0.5) / n)
    emits = width > 0.0
    assert emits.mean() == pytest.approx(share, abs=1e-5)
    assert width[emits].mean() == pytest.approx(mean, rel=1e-3)
    # of an exponential distribution
    assert np.mean(width > 2.0 * mean) == pytest.approx(share * np.exp(-2.0), abs=1e-4)
