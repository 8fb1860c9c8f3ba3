import numpy as np
import pytest

from mocksed.sps import fsps, igm

FINE = np.linspace(91.2, 1215.0, 3000)


def inoue2014_depth(observed, z_source):
    """Return the optical depth at one observed wavelength [A], equation by equation, with a digit more than printed."""
    tau = 0.0
    for line, forest, damped in igm._INOUE_LINES:
        x = observed / line
        if not 1.0 < x < 1.0 + z_source:
            continue
        if x < 2.2:  # eq 21
            tau += forest * x**1.2
        elif x < 5.7:
            tau += forest * 2.354e-3 / 1.690e-2 * x**3.7
        else:
            tau += forest * 1.026e-4 / 1.690e-2 * x**5.5
        tau += damped * x**2 if x < 3.0 else damped * 5.390e-5 / 1.617e-4 * x**3  # eq 22
    x, y = observed / 911.8, 1.0 + z_source
    if x >= y:
        return tau
    if z_source < 1.2:  # eq 25
        tau += 0.3248 * (x**1.2 - y**-0.9 * x**2.1)
    elif z_source < 4.7 and x < 2.2:  # eq 26
        tau += 2.545e-2 * y**1.6 * x**2.1 + 0.3248 * x**1.2 - 0.2496 * x**2.1
    elif z_source < 4.7:
        tau += 2.545e-2 * (y**1.6 * x**2.1 - x**3.7)
    elif x < 2.2:  # eq 27
        tau += 5.221e-4 * y**3.4 * x**2.1 + 0.3248 * x**1.2 - 3.140e-2 * x**2.1
    elif x < 5.7:
        tau += 5.221e-4 * y**3.4 * x**2.1 + 0.2182 * x**2.1 - 2.545e-2 * x**3.7
    else:
        tau += 5.221e-4 * (y**3.4 * x**2.1 - x**5.5)
    if z_source < 2.0:  # eq 28
        tau += 0.2113 * y**2 - 7.661e-2 * y**2.3 * x**-0.3 - 0.1347 * x**2
    elif x < 3.0:  # eq 29
        tau += 0.6340 + 4.696e-2 * y**3 - 1.779e-2 * y**3.3 * x**-0.3 - 0.1347 * x**2 - 0.2905 * x**-0.3
    else:
        tau += 4.696e-2 * y**3 - 1.779e-2 * y**3.3 * x**-0.3 - 2.916e-2 * x**3
    return tau


@pytest.mark.parametrize("redshift", [0.3, 1.1, 1.3, 1.9, 2.1, 3.0, 4.0, 4.6, 4.8, 6.0, 8.0])
def test_inoue_is_what_the_equations_give(redshift):
    rest = np.concatenate([np.linspace(300.0, 1214.0, 200), np.linspace(908.0, 916.0, 41)])
    rest = np.sort(rest[rest * (1.0 + redshift) > 1216.0])  # what lies nearer than the observer is left out
    found = igm.inoue2014(rest, [redshift])[0]
    expected = np.exp([-inoue2014_depth(wavelength * (1.0 + redshift), redshift) for wavelength in rest])
    assert np.abs(found - expected).max() < 1e-4


# eazy 0.8.7 (Brammer et al. 2008), Inoue14().full_IGM at 800, 905, 930, 1000, 1100 and 1200 A in the rest frame
EAZY = {
    1.0: (0.784137, 0.919245, 0.949255, 0.958686, 0.965643, 0.961894),
    3.0: (0.228967, 0.577299, 0.706261, 0.741948, 0.757925, 0.682336),
    5.0: (0.002553, 0.094284, 0.209192, 0.258216, 0.289489, 0.160245),
    7.0: (0.0, 0.00011, 0.001824, 0.003753, 0.004055, 0.000139),
}


@pytest.mark.parametrize("redshift", EAZY)
def test_inoue_is_that_of_eazy(redshift):
    found = igm.inoue2014([800.0, 905.0, 930.0, 1000.0, 1100.0, 1200.0], [redshift])[0]
    assert found == pytest.approx(EAZY[redshift], abs=1e-4)


@pytest.mark.parametrize(("redshift", "expected"), [(3.0, 0.74), (4.0, 0.50), (6.0, 0.06)])
def test_the_forest_is_as_deep_as_observed(redshift, expected):
    """The mean transmission at 1050-1200 A is the D_A of the paper's figure 2, 1 - 0.26 at z = 3."""
    forest = np.linspace(1050.0, 1200.0, 100)
    assert igm.inoue2014(forest, [redshift]).mean() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("at", [1.2, 2.0, 4.7])
def test_inoue_is_continuous_in_redshift(at):
    below, above = igm.inoue2014(FINE[FINE > 500.0], [at - 1e-6, at + 1e-6])
    assert np.abs(above - below).max() < 1e-3


def test_inoue_is_continuous_where_no_line_begins():
    rest = np.arange(300.0, 911.0, 0.01)
    for redshift in (1.0, 3.0, 6.0):
        seen = igm.inoue2014(rest[rest * (1.0 + redshift) > 1216.0], [redshift])[0]
        assert np.abs(np.diff(seen)).max() < 1e-3


@pytest.mark.parametrize("model", igm.MODELS)
def test_no_absorption_at_redshift_zero_or_redward_of_lyman_alpha(model):
    wavelength = np.geomspace(100.0, 1e5, 1000)
    seen = igm.transmission(model, wavelength, [0.0, 3.0])
    assert seen.shape == (2, np.sum(wavelength < igm.LYMAN_ALPHA) + 1)
    assert seen.dtype == np.float32
    assert np.all(seen[0] == 1.0)
    assert np.all((seen[1] >= 0.0) & (seen[1] < 1.0))


@pytest.mark.parametrize("model", igm.MODELS)
def test_transmission_falls_with_redshift(model):
    seen = igm.transmission(model, np.linspace(920.0, 1215.0, 60), np.linspace(0.4, 10.0, 200))
    assert np.all(np.diff(seen, axis=0) <= 0.0)
    assert np.all(igm.transmission(model, FINE, np.linspace(0.01, 20.0, 50)) <= 1.0)


@pytest.mark.parametrize("model", igm.MODELS)
def test_a_source_does_not_depend_on_its_company(model):
    redshift = np.linspace(0.0, 12.0, 37)
    whole = igm.transmission(model, FINE, redshift)
    for rows in (slice(0, 1), slice(5, 20)):
        assert igm.transmission(model, FINE, redshift[rows]).tobytes() == whole[rows].tobytes()


@pytest.mark.parametrize("model", igm.MODELS)
def test_a_wavelength_does_not_depend_on_its_company(model):
    redshift = [0.1, 1.0, 3.0, 7.0]
    whole = igm.transmission(model, FINE, redshift)
    assert igm.transmission(model, FINE[2500:], redshift).tobytes() == whole[:, 2500:].tobytes()


@pytest.mark.parametrize("model", igm.MODELS)
@pytest.mark.parametrize("redshift", [0.5, 3.0, 7.0])
def test_the_last_transmission_is_just_blueward_of_the_step(model, redshift):
    metals = 0.0017 * (1.0 + redshift) ** 1.68
    depth = {
        "madau1995": 0.0036 * (1.0 + redshift) ** 3.46 + metals,
        "inoue2014": inoue2014_depth(igm.LYMAN_ALPHA * (1.0 + redshift) * (1.0 - 1e-9), redshift),
    }
    for wavelength in (FINE, [1000.0, igm.LYMAN_ALPHA, 1300.0], [1300.0]):
        last = igm.transmission(model, wavelength, [redshift])[0, -1]
        assert -np.log(last) == pytest.approx(depth[model], rel=1e-3)  # of the printed digits


def test_without_a_model_nothing_is_absorbed():
    assert igm.transmission("none", FINE, [1.0, 2.0]).shape == (2, 0)


@pytest.mark.parametrize("model", igm.MODELS)
def test_what_is_needed_does_not_depend_on_what_is_not(model):
    redshift = np.linspace(0.0, 10.0, 60)
    whole = igm.transmission(model, FINE, redshift)
    n = whole.shape[1]
    begin = np.random.default_rng(2).integers(0, n + 20, 60)
    some = igm.transmission(model, FINE, redshift, begin)
    needed = np.arange(n) >= begin[:, None]
    assert some[needed].tobytes() == whole[needed].tobytes()


def test_madau_and_inoue_differ_as_the_paper_says():
    """Less absorption in the forest at z = 3-5, more at z > 6, and less Lyman continuum absorption at z > 3."""
    forest, continuum = np.linspace(1050.0, 1200.0, 50), np.linspace(850.0, 900.0, 20)
    mean = {
        model: [igm.transmission(model, rest, [3.5, 7.0]).mean(axis=1) for rest in (forest, continuum)]
        for model in igm.MODELS
    }
    assert mean["inoue2014"][0][0] > mean["madau1995"][0][0]
    assert mean["inoue2014"][0][1] < mean["madau1995"][0][1]
    assert mean["inoue2014"][1][0] > 1.2 * mean["madau1995"][1][0]


@pytest.mark.fsps
@pytest.mark.parametrize("redshift", [0.5, 3.0, 7.0, 11.0])
def test_madau_is_that_of_fsps(redshift):
    sps = fsps.population()
    options = {"sfh": 4, "tau": 1.0, "dust2": 0.0, "add_neb_emission": False, "logzsol": 0.0}
    fsps.set_options(sps, fsps.ALWAYS | options | {"zred": redshift})
    wavelength, without = sps.get_spectrum(tage=0.3)
    without = without.copy()
    sps.params["add_igm_absorption"] = True
    _, absorbed = sps.get_spectrum(tage=0.3)
    fsps.set_options(sps, fsps.ALWAYS)
    seen = igm.madau1995(wavelength, [redshift])[0]
    assert np.allclose(seen, (absorbed / without)[: len(seen)], rtol=2e-6, atol=1e-7)
    assert np.all((absorbed / without)[len(seen) :] == 1.0)
