import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed.cosmology import Cosmology
from mocksed.sky import variance


@pytest.mark.parametrize(
    ("field", "massive", "less"), [("GOODS", 0.38, 0.19), ("GEMS", 0.27, 0.13), ("COSMOS", 0.12, 0.06)]
)
def test_variance_of_the_abstract_of_moster2011(field, massive, less):
    """At z = 2, in dz = 0.5, above 10^11 and near 10^10 Msun; percentages are rounded, and the bins wide."""
    found = variance.moster2011(field, [11.1, 10.1], 2.0, 0.5)
    assert_allclose(found, [massive, less], atol=0.01)


def test_moster2011_by_hand():
    # GOODS at z = 1: 0.261 / (1 + 0.854) = 0.14078; 10^9.7: 0.042 x 2^3.17 + 1.147 = 1.5250
    assert_allclose(variance.moster2011("GOODS", 9.7, 1.0, 0.2), 0.14078 * 1.5250, rtol=1e-3)
    assert_allclose(variance.moster2011("GOODS", 9.7, 1.0, 0.8), 0.14078 * 1.5250 / 2.0, rtol=1e-3)


def test_moster2011_has_bins_of_mass_with_open_ends():
    found = variance.moster2011("UDF", [7.0, 8.5, 8.99, 9.0, 11.0, 12.5], 1.0, 0.2)
    assert found[0] == found[1] == found[2] < found[3] < found[4] == found[5]


def test_driver_robotham2010_by_hand():
    # V = 10^5 x 291: log10 = 7.4639; 219.7 - 52.4 x 7.4639 + 3.21 x 7.4639^2 = 7.422 per cent
    square = np.sqrt(1e5)
    assert_allclose(variance.driver_robotham2010(square, square, 291.0), 0.07422, rtol=1e-3)
    # an aspect of 26: 1 - 0.03 x 5; a quarter of the depth: twice as much
    assert_allclose(variance.driver_robotham2010(square * 26**0.5, square / 26**0.5, 291.0), 0.07422 * 0.85, rtol=1e-3)
    assert_allclose(variance.driver_robotham2010(square, square, 291.0 / 4.0), 0.14844, rtol=1e-3)


def test_independent_fields_average_out():
    one, four = (variance.driver_robotham2010(50.0, 40.0, 200.0, fields) for fields in (1, 4))
    assert_allclose(four, one / 2.0)


def test_variance_of_a_field_is_that_of_its_box():
    """One square degree at z = 1 is 57.66 Mpc / h70 wide, and 0.9 < z < 1.1 is 486 Mpc / h70 deep."""
    in_h70 = variance.of_field(Cosmology(70.0, 0.3), 1.0, 0.9, 1.1)
    assert_allclose(in_h70, variance.driver_robotham2010(57.66, 57.66, 486.6), rtol=2e-3)
    assert_allclose(variance.of_field(Cosmology(50.0, 0.3), 1.0, 0.9, 1.1), in_h70)
