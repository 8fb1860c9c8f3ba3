"""Every attenuation curve, star-formation history and dust emission gives a sane population through the whole chain."""

import numpy as np
import pytest

from mocksed import light
from mocksed.cosmology import Cosmology
from mocksed.files.columns import Flag
from mocksed.search import KINDS, balance
from mocksed.sps import filters, table
from mocksed.sps.curves import CURVES
from mocksed.sps.model import SFH
from tests import populations

N, N_PARENT = 1000, {"star_forming": 60_000, "quiescent": 20_000}
NODES = ((0.7, 9.0), (0.7, 10.5), (2.5, 9.0), (2.5, 10.5))
BANDS = ("sdss_i0", "jwst_f200w")

BOUNDS = {
    "star_forming": {"muv": 0.9, "beta": 0.4, "uv": 0.25, "mag": 1.1},
    "quiescent": {"muv": 1.2, "beta": 1.9, "uv": 0.25, "mag": 0.9},
}
"""How far medians at a node may be from those of the default [mag, slope]. With a slope that is not free star-forming
galaxies cannot follow all relations, M_UV least; the ultraviolet of quiescent ones is left to the model, and only their
box is not. What a curve did that made galaxies bluer with dust was 11 mag in M_UV."""


def made(root, ssps, changes):
    """Return the columns of galaxies of both classes at the nodes, with magnitudes."""
    cfg = populations.configured(root, {"seed": 5} | changes)
    engine = populations.engine_of(cfg, ssps)
    nodes = np.repeat(NODES, N, axis=0)
    found = {}
    for kind in KINDS:
        points = populations.parent_of(cfg, kind, N_PARENT[kind], engine)
        weights = None
        if kind == "star_forming":
            weights = balance.of_run(points.cloud, populations.search_of(cfg), (0.7, 2.5), (9.0, 10.5))
        found[kind] = populations.populate(cfg, populations.galaxies(kind, *nodes.T), points, engine, weights)
        found[kind] |= light.magnitudes(
            found[kind], filters.select(BANDS), engine=engine, cosmo=Cosmology(**cfg["cosmology"]),
            igm_model=cfg["sps"]["igm"],
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def default(root, engine):
    return made(root, engine.table, {})


def medians(columns):
    """Return medians at the nodes of quantities of `BOUNDS`, and of each magnitude."""
    names = ("muv", "beta", "uv", *(f"mag_{band}" for band in BANDS))
    return {name: np.median(columns[name].reshape(len(NODES), N), axis=1) for name in names}


VARIANTS = {
    **{f"dust_type {name}": {"sps.dust_type": name} for name in CURVES if name != "kriek_conroy"},
    "dust_index 0": {"sps.dust_index": 0.0},
    "dust_index -0.7 of power_law": {"sps.dust_type": "power_law", "sps.dust_index": -0.7},
    **{f"sfh {name}": {"sps.sfh": name} for name in SFH if name != "delayed_tau"},
    "dust emission": {"sps.add_dust_emission": True},
}


def near_the_default(found, default, left_out=()):
    """Check the medians of a population against those of the default."""
    off = {}
    for kind in KINDS:
        expected = medians(default[kind])
        for name, values in medians(found[kind]).items():
            if (kind, name) in left_out:
                continue
            bound = BOUNDS[kind]["mag" if name.startswith("mag_") else name]
            for node, difference in zip(NODES, values - expected[name], strict=True):
                if not abs(difference) <= bound:
                    off[kind, name, node] = round(float(difference), 2)
    assert not off
    assert np.all(found["quiescent"]["flags"] & Flag.UVJ_OUTSIDE == 0)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_medians_are_near_those_of_the_default(root, engine, default, variant):
    found = made(root, engine.table, VARIANTS[variant])
    # without an end of star formation only dust makes galaxies red, and dims the ultraviolet
    left_out = {("quiescent", "muv"), ("quiescent", "beta")} if variant == "sfh constant" else ()
    near_the_default(found, default, left_out)


@pytest.mark.fsps
@pytest.mark.slow
@pytest.mark.parametrize("imf_type", [0, 2, 3, 4, 5])
def test_every_imf_gives_medians_near_those_of_the_default(root, default, table_of_imf, imf_type):
    """The default's is that of Chabrier (1)."""
    path = table_of_imf(imf_type)
    changes = {"sps.table": str(path), "sps.imf_type": imf_type}
    near_the_default(made(root, table.read(path), changes), default)
