"""Factors between initial mass functions: those of Madau & Dickinson (2014, section 3.1) and what follows from them."""

import math

import pytest

from mocksed import imf

NAMES = list(imf.SALPETER_TO)


def test_salpeter_in_chabrier():
    assert 10.0 ** imf.mass_offset("salpeter", "chabrier") == pytest.approx(0.61)
    assert 10.0 ** imf.sfr_offset("salpeter", "chabrier") == pytest.approx(0.63)
    assert 10.0 ** imf.sfr_offset("salpeter", "kroupa") == pytest.approx(0.67)
    assert imf.mass_offset("kroupa") == pytest.approx(math.log10(0.61 / 0.66))  # to that of Chabrier by default


@pytest.mark.parametrize("offset", [imf.mass_offset, imf.sfr_offset])
def test_there_and_back(offset):
    for one in NAMES:
        assert offset(one, one) == 0.0
        for other in NAMES:
            assert offset(one, other) == pytest.approx(-offset(other, one))
