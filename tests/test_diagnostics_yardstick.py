"""Distances of the catalogue against the best that models can do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mocksed import relations
from mocksed.diagnostics import Sample, Settings, yardstick
from mocksed.yardstick import model_columns


@pytest.fixture(scope="module")
def catalogue(engine):
    """Galaxies that are what was proposed, but for the UV magnitude of every other one, which is off by 0.7 mag."""
    n = 120
    rng = np.random.default_rng(0)
    z, mass = rng.uniform(0.5, 4.0, n), rng.uniform(8.0, 10.0, n)
    age, tau = rng.uniform(0.1, 1.0, n), rng.uniform(0.3, 10.0, n)
    parameters = (age, tau, rng.uniform(0.1, 1.0, n), rng.uniform(-1.0, 0.0, n), rng.uniform(-3.5, -2.0, n))
    found = model_columns(engine, *parameters, mass)
    galaxies = found | {f"prop_{name}": values.copy() for name, values in found.items()}
    galaxies["muv"] = found["muv"] + np.where(np.arange(n) % 2, 0.7, 0.0)
    distance = np.where(np.arange(n) % 2, 1.0, 0.0)
    return galaxies | {"redshift": z, "log_mstar": mass, "quiescent": np.zeros(n, bool), "distance": distance}


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    sps = {"table": root / "resources" / "ssp_padova_kurucz_chabrier.h5"}
    return Settings(sps=sps, redshift_bins=(0.0, 2.0, 5.0), min_count=5)


@pytest.fixture(scope="module")
def measured(catalogue, settings):
    return yardstick.measure(Sample(catalogue), settings)


def test_the_excess_is_what_the_assignment_missed(measured):
    assert measured["searched"] == 120
    assert measured["proposals"]["reachable"] > 0.95
    assert measured["proposals"]["distance"]["median"] < 0.01
    excess = measured["proposals"]["excess"]
    assert excess["p16"] == pytest.approx(0.0, abs=0.02)
    assert excess["p84"] == pytest.approx(1.0, abs=0.02)
    for kind in ("best", "catalogue"):
        assert sum(measured["histogram"][kind]["counts"]) + measured["histogram"][kind]["below"] == 120


def test_independent_proposals_are_mostly_out_of_reach(measured):
    assert measured["relations"]["reachable"] < 0.5
    assert measured["relations"]["distance"]["median"] > 0.3
    for row in measured["by_redshift"]:
        assert row["reachable"]["relations"] < row["reachable"]["proposals"]


def test_offsets_are_from_the_relations(catalogue, measured):
    z, mass = catalogue["redshift"], catalogue["log_mstar"]
    assert sum(row["count"] for row in measured["by_redshift"]) == len(z)
    row = measured["by_redshift"][0]
    inside = z < 2.0
    expected = np.median((catalogue["muv"] - relations.muv(mass, z))[inside])
    assert row["offset"]["muv"]["catalogue"] == pytest.approx(expected)
    assert abs(row["offset"]["muv"]["best"]) < 0.5  # the sample is far from the relations, the best points are not
    assert [part["count"] for part in row["by_mass"]] == [
        int(np.sum(inside & (mass < 9.0))), int(np.sum(inside & (mass >= 9.0)))
    ]  # fmt: skip


def test_what_is_missing_is_left_out(catalogue, settings):
    broken = catalogue | {"prop_muv": np.where(np.arange(120) < 20, np.nan, catalogue["prop_muv"])}
    assert yardstick.measure(Sample(broken), settings)["searched"] == 100


def test_without_a_model_nothing_is_searched(catalogue, settings):
    measured = yardstick.measure(Sample(catalogue), replace(settings, sps=None))
    assert measured["searched"] == 0
    assert np.isnan(measured["proposals"]["reachable"])
    assert np.isfinite(measured["by_redshift"][0]["offset"]["muv"]["catalogue"])


def test_it_is_drawn(catalogue, settings, measured):
    assert isinstance(yardstick.draw(Sample(catalogue), measured, settings), Figure)
