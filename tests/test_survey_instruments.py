import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed.errors import UserError
from mocksed.survey import instruments, observed

GRID = {"range": [4000, 9000], "step": 2}


def of(**keys):
    return instruments.from_config(observed.complete(keys))


def test_presets_are_instruments_of_a_known_source():
    bins = {"spherex": 102, "roman_grism": 835, "roman_prism": 184, "euclid_red": 501, "nirspec_prism": 403}
    assert set(instruments.presets()) == set(bins)
    for name, n in bins.items():
        instrument = instruments.by_name(name)
        assert len(instrument.wavelength) == len(instrument.fwhm) == n
        assert np.all(np.diff(instrument.wavelength) > 0.0)
        assert len(instruments.presets()[name]["source"]) > 50


def test_numbers_of_presets():
    spherex = instruments.by_name("spherex")
    assert_allclose((spherex.wavelength / spherex.fwhm)[::17], [39, 41, 41, 35, 112, 128])
    prism = instruments.by_name("roman_prism")
    assert_allclose(np.interp([8000, 15000], prism.wavelength, prism.high - prism.low), [25.0, 87.6], rtol=5e-3)
    assert_allclose(prism.fwhm, 2.0 * (prism.high - prism.low))
    euclid = instruments.by_name("euclid_red")
    assert_allclose(euclid.high - euclid.low, 13.7, rtol=2e-3)
    assert (euclid.wavelength / euclid.fwhm)[[0, -1]] == pytest.approx([471, 739], abs=1)
    nirspec = instruments.by_name("nirspec_prism")
    resolution = np.interp([1e4, 2e4, 3e4, 4e4, 5e4], nirspec.wavelength, nirspec.wavelength / nirspec.fwhm)
    assert_allclose(resolution, [31.82, 48.67, 101.2, 179.9, 285.8], rtol=5e-3)


def test_grids_of_ones_own(tmp_path):
    steps, equal = of(**GRID, fwhm=5), of(range=[4000, 9000], sampling=1000, resolution=300)
    assert_allclose(steps.high - steps.low, 2.0)
    assert_allclose(steps.fwhm, 5.0)
    assert_allclose(equal.wavelength / (equal.high - equal.low), 1000, rtol=1e-3)
    assert_allclose(equal.wavelength / equal.fwhm, 300)
    assert np.all(of(**GRID).fwhm == 0.0)
    path = tmp_path / "mine.txt"
    path.write_text("# wavelength fwhm\n5000 10\n5010 11\n5030 12\n")
    mine = of(file=str(path))
    assert_allclose(mine.low, [4995, 5005, 5020])
    assert_allclose(mine.high, [5005, 5020, 5040])
    path.write_text("5000\n5010\n5030\n")
    assert_allclose(of(file=str(path), fwhm=7).fwhm, 7, rtol=2e-3)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "nothing given for the grid; expected one of preset, file, or range with step or sampling"),
        ({"preset": "sperex"}, "'sperex' is not known, did you mean spherex"),
        ({"preset": "spherex", **GRID}, "preset and range given for the grid"),
        ({"preset": "spherex", "fwhm": 3}, "fwhm not used with preset"),
        ({"preset": "spherex", "step": 3}, "step not used with preset"),
        ({"range": [4000, 9000]}, "neither step nor sampling given with range"),
        (GRID | {"sampling": 3}, "step and sampling given with range"),
        (GRID | {"step": 0}, "step: 0 is not allowed; expected a number above 0"),
        (GRID | {"step": "2"}, "step: '2' is not allowed"),
        (GRID | {"fwhm": 3, "resolution": 3}, "resolution and fwhm given"),
        (GRID | {"range": [9000, 4000]}, r"range: \[9000, 4000\] is not allowed; expected the lower limit first"),
        (GRID | {"step": 0.01}, "500000 bins; expected 10000 at most"),
        (GRID | {"unit": "Jy"}, "unit: 'Jy' is not allowed; expected f_lambda or f_nu"),
        (GRID | {"widht": 3}, "widht: unknown key"),
        ({"file": "no.txt"}, "no.txt is not a file"),
    ],
)
def test_mistakes(keys, message):
    with pytest.raises(UserError, match=message):
        of(**keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5000 1 1\n5010 1 1\n", "3 columns of 2 numbers"),
        ("5000\n4000\n", r"row 2: \[4000.0\]"),
        ("5000 1\n6000 -1\n", r"row 2: \[6000.0, -1.0\]"),
        ("wave\n", "cannot read"),
        ("5000 1\n5010 1\n", "has a column with the FWHM; leave this out"),
    ],
)
def test_files_that_are_no_grid(tmp_path, text, message):
    path = tmp_path / "mine.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        of(file=str(path), fwhm=3)


def test_all_bins_together_see_all_light():
    for name in ("spherex", "roman_prism"):
        for part in instruments.by_name(name).parts:
            at = np.linspace(part.edges[3], part.edges[-4], 1000)
            seen = [np.interp(at, of_bin.wavelength, of_bin.transmission * of_bin.wavelength, 0.0, 0.0)
                    for of_bin in part.responses(name)]  # fmt: skip
            if name == "spherex" and part.resolution[0] > 100:  # bins as wide as the resolution: the ends see further
                at = np.linspace(part.edges[6], part.edges[-7], 1000)
            assert np.max(np.sum(seen, axis=0)) < 1.0 + 3e-4


def test_what_ssps_do_not_resolve_is_known():
    wavelength = np.geomspace(1000.0, 1e5, 922)  # 200 nodes for each factor e
    coarse, fine = (of(range=[4000, 9000], sampling=1000, resolution=r) for r in (90, 110))
    assert coarse.share_unresolved(wavelength, [0.1, 1.0]) == 0.0
    assert fine.share_unresolved(wavelength, [0.1, 1.0]) == 1.0
    half = np.concatenate([np.geomspace(1000.0, 6500.0, 374, endpoint=False), np.geomspace(6500.0, 1e5, 2000)])
    assert 0.4 < fine.share_unresolved(half, [0.0]) < 0.6
