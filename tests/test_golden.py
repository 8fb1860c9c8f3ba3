"""Numbers written down: what the project compares with itself elsewhere must not all change together unnoticed.

They are what this version gives, not what is right; when one changes on purpose, the new one is written here, with the
reason in the message of the commit.
"""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mocksed.search import balance
from mocksed.sps import dust, igm
from mocksed.sps.curves import CURVES, SLOPED
from mocksed.sps.model import Model
from mocksed.sps.weights import HISTORIES, history, sfr_per_mass_formed, ssp_weights
from tests import populations

NAN = float("nan")
REDSHIFT, LOG_MSTAR = np.linspace(0.6, 5.0, 6), np.linspace(8.6, 10.9, 6)

GALAXIES = {
    "age": [
        1.8112074,
        3.192189,
        0.61114037,
        1.2058157,
        0.59853119,
        0.98459703,
        4.5734611,
        3.2273595,
        2.510721,
        1.5222552,
    ],
    "tau": [
        8.475337,
        3.3574052,
        0.6314922,
        30.923346,
        8.6463594,
        0.4957439,
        0.84257764,
        0.35307354,
        0.34357381,
        0.20257822,
    ],
    "dust2": [
        0.55182713,
        0.25590885,
        0.48898506,
        1.1505235,
        1.371098,
        0.19369771,
        0.34292933,
        0.18366066,
        0.0010972996,
        0.4449119,
    ],
    "dust_index": [
        -0.18077755,
        0.27745965,
        0.31048325,
        0.37961367,
        0.34023669,
        -0.5716936,
        -1.1190597,
        -1.194364,
        -0.13008428,
        -1.0600975,
    ],
    "log_zmet": [
        -0.35888889,
        -1.0373654,
        -0.75365615,
        -0.26401368,
        -0.56007284,
        -0.32769802,
        -0.10237348,
        -0.023919174,
        0.074577697,
        -0.59686625,
    ],
    "log_us": [-3.6582365, -2.32901, -3.3468555, -3.8204036, -3.2753188, -3.3496145, NAN, NAN, NAN, NAN],
    "log_sfr": [
        -0.23551428,
        -0.10911065,
        1.0112928,
        1.3328947,
        2.0742954,
        2.0152193,
        -0.80656337,
        -1.3699791,
        -0.20918937,
        0.39297623,
    ],
    "muv": [
        -16.25765,
        -18.232525,
        -20.521283,
        -20.119974,
        -21.543717,
        -22.730933,
        -12.534372,
        -12.856513,
        -18.142262,
        -15.328324,
    ],
    "beta": [
        -1.1991879,
        -2.0720705,
        -2.1338279,
        -1.8460446,
        -1.8961687,
        -1.243521,
        1.9035037,
        1.3340531,
        -1.3735465,
        3.7887414,
    ],
    "uv": [
        0.59382126,
        0.67993396,
        0.27121068,
        0.48746549,
        0.43010442,
        0.50480337,
        1.9393359,
        2.1050666,
        1.5988233,
        1.8882712,
    ],
    "vj": [
        0.39758978,
        0.10277877,
        0.065123705,
        0.59504393,
        0.57664786,
        0.10695378,
        1.1660197,
        1.171388,
        0.8666625,
        0.80295704,
    ],
    "mass_fraction": [
        0.70320714,
        0.6562614,
        0.74429835,
        0.7264255,
        0.75782452,
        0.7144291,
        0.61759188,
        0.6219966,
        0.63928763,
        0.65295136,
    ],
}
"""Six star-forming and four quiescent galaxies of a small run."""


def test_galaxies_of_a_small_run(root, engine):
    cfg = populations.configured(root, {"seed": 5})
    own = populations.engine_of(cfg, engine.table)
    points = populations.parent_of(cfg, "star_forming", 20_000, own)
    weights = balance.of_run(points.cloud, populations.search_of(cfg), (1.5, 1.5), (9.5, 9.5))
    star_forming = populations.galaxies("star_forming", REDSHIFT, LOG_MSTAR)
    found = populations.populate(cfg, star_forming, points, own, weights)
    points = populations.parent_of(cfg, "quiescent", 5000, own)
    quiescent = populations.galaxies("quiescent", REDSHIFT[:4], LOG_MSTAR[2:], first=6)
    old = populations.populate(cfg, quiescent, points, own)
    for name, values in GALAXIES.items():
        # processors without AVX give colours that differ by 1e-6 mag
        assert_allclose(np.concatenate([found[name], old[name]]), values, rtol=1e-6, atol=2e-6, err_msg=name)


ATTENUATION = {
    "power_law": (1.47686918, 1.19930324, 0.8361361),
    "cardelli": (2.66481933, 1.81652474, 0.404840417),
    "calzetti": (2.55119619, 1.70848733, 0.463345441),
    "kriek_conroy": (3.78992694, 2.07292921, 0.387816114),
    "smc": (4.81593733, 1.98182703, 0.380005446),
    "reddy": (3.48674389, 2.14162618, 0.362924781),
}
"""k / k(5500 A) next to 1500, 3000 and 10 000 A; of curves that have a slope at -0.3."""


@pytest.mark.parametrize("name", CURVES)
def test_attenuation_curves(engine, name):
    model = Model(dust_type=name, dust_index=-0.3 if name in SLOPED else None)
    curve = dust.curve(engine.wavelength, model).base
    nearest = [int(np.argmin(np.abs(engine.wavelength - at))) for at in (1500.0, 3000.0, 10_000.0)]
    assert_allclose(curve[nearest], ATTENUATION[name], rtol=1e-6)


TRANSMISSION = {
    "madau1995": [[0.565323234, 0.85264504, 0.866963983], [5.90612435e-05, 0.0562991016, 0.0792858973]],
    "inoue2014": [[0.80078882, 0.901630819, 0.893173993], [0.0055816737, 0.0680621341, 0.0341147184]],
}
"""At 900, 1000 and 1150 A of the rest frame, for sources at z = 2 and 6."""


@pytest.mark.parametrize("name", TRANSMISSION)
def test_intergalactic_medium(name):
    found = igm.transmission(name, np.array([900.0, 1000.0, 1150.0]), np.array([2.0, 6.0]))
    assert_allclose(found[:, :3], TRANSMISSION[name], rtol=1e-6)


SFR = {
    "delayed_tau": (19.8668892, 1.39221119, 8.24461485e-08),
    "tau": (9.90033333, 0.581976707, 4.12230725e-09),
    "constant": (10.0, 1.0, 0.1),
}
"""Per mass formed [1/Gyr] at ages of 0.1, 1 and 10 Gyr, with tau 5, 1 and 0.5 Gyr."""

FORMED = {
    "delayed_tau": (0.00432079756, 0.0458003266),
    "tau": (0.00171719317, 0.0258271916),
    "constant": (0.00364472986, 0.0364472986),
}
"""Mass in SSPs of log age 7.5 and 8.5, of an age of 1 Gyr with tau 0.7 Gyr."""


@pytest.mark.parametrize("name", HISTORIES)
def test_histories(engine, name):
    assert_allclose(sfr_per_mass_formed(name, [0.1, 1.0, 10.0], [5.0, 1.0, 0.5]), SFR[name], rtol=1e-6)
    formed = np.empty(len(engine.table.log_age))
    ssp_weights(history(name, engine.table.log_age), 1.0, 0.7, formed)
    assert_allclose(formed[[40, 60]], FORMED[name], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the old processor is one of another kind")
def test_an_old_processor_gives_the_same_numbers_but_for_rounding():
    # without AVX and fused multiplication: for numba, the matrix products and numpy
    old = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "", "OPENBLAS_CORETYPE": "Nehalem"}
    old["NPY_DISABLE_CPU_FEATURES"] = " ".join(np.show_config(mode="dicts")["SIMD Extensions"]["found"])
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "not slow", __file__]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MOCKSED_REQUIRE_")}  # none are run
    done = subprocess.run(tests, env=own | old, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
