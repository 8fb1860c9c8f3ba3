"""Times of a galaxy, everything in one process on one core: run by `python -m benchmarks`."""

import pickle
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import rivals, sample
from benchmarks.report import Row, Section, Spread, spread
from benchmarks.runs import TABLE
from benchmarks.timing import Contestant, interleaved
from mocksed.cosmology import Cosmology, age_max
from mocksed.errors import UserError
from mocksed.galaxies.lightcone import LightCone
from mocksed.relations import Relations
from mocksed.run import configuration
from mocksed.search import KINDS, assign, balance, neighbours, parent
from mocksed.search.choice import Prior
from mocksed.search.cloud import Cloud, Search
from mocksed.search.kdtree import KDTree
from mocksed.search.metric import metric_of
from mocksed.search.nodes import SFR_OFFSETS
from mocksed.sps import fsps, table
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model

Array = NDArray[np.float64]

ROUNDS = 9
N_SPECTRA, N_MAGNITUDES, N_DERIVED, N_FSPS, N_PRODUCT = 4096, 2048, 20_000, 25, 1024
CALL_SIZES = (1, 16, 256)
N_CONE, N_PARENT = 20_000, {"star_forming": 1_000_000, "quiescent": 200_000}


def main() -> list[Section]:
    """Return the sections of the table."""
    engine = Engine(table.read(TABLE))
    free = Engine(engine.table, Model(dust_type="kriek_conroy"))
    contestants = ours(engine, free) | pipeline(free)
    have_fsps, have_dsps = fsps_works(), find_spec("dsps") is not None
    if have_fsps:
        few = sample.parameters(sample.galaxies(N_FSPS))
        contestants |= {"fsps warm": rivals.fsps_warm(few), "fsps cold": rivals.fsps_cold(few)}
    if have_dsps:
        galaxies = rivals.dsps_galaxies(engine.table, N_PRODUCT)
        contestants |= {
            "dsps single": rivals.dsps_contestant(engine.table, double=False),
            "dsps double": rivals.dsps_contestant(engine.table, double=True),
            "dsps product": Contestant(rivals.dsps(engine.table, galaxies, double=False, own_product=True), N_PRODUCT),
        }
    seconds = interleaved(contestants, ROUNDS)
    return [times(seconds), ratios(seconds), differences(engine, have_fsps, have_dsps)]


def fsps_works() -> bool:
    """Return whether python-fsps and its data are there."""
    try:
        fsps.population()
    except UserError:
        return False
    return True


def ours(engine: Engine, free: Engine) -> dict[str, Contestant]:
    """Return what the stellar population engine does, with one attenuation curve and with a slope for each galaxy."""
    columns = sample.galaxies(N_SPECTRA)
    spectra = sample.parameters(columns)
    some = {name: values[:N_MAGNITUDES] for name, values in columns.items()}
    many = sample.galaxies(N_DERIVED)

    def in_calls_of(n: int) -> None:
        for first in range(0, max(CALL_SIZES), n):
            engine.spectra(*(values[first : first + n] for values in spectra), nebular=True)

    return {
        "spectra": Contestant(lambda: engine.spectra(*spectra, nebular=True), N_SPECTRA),
        "spectra free": Contestant(lambda: free.spectra(*spectra, nebular=True), N_SPECTRA),
        "derived free": Contestant(lambda: sample.derived(free, many), N_DERIVED),
        "magnitudes free": Contestant(lambda: sample.magnitudes(free, some), N_MAGNITUDES),
        "stars": Contestant(lambda: engine.spectra(*spectra, nebular=False), N_SPECTRA),
        **{f"spectra by {n}": Contestant(partial(in_calls_of, n), max(CALL_SIZES)) for n in CALL_SIZES},
        "lines": Contestant(lambda: engine.lines(*spectra), N_SPECTRA),
        "derived": Contestant(lambda: sample.derived(engine, many), N_DERIVED),
        "magnitudes": Contestant(lambda: sample.magnitudes(engine, some), N_MAGNITUDES),
        "default magnitudes": Contestant(
            lambda: sample.magnitudes(engine, some, sample.default_filters()), N_MAGNITUDES
        ),
    }


def pipeline(engine: Engine) -> dict[str, Contestant]:
    """Return search and assignment of each class, for galaxies of a light cone and the parents of the default."""
    whole = configuration.load({"run": "benchmark"})
    cosmo, relations = Cosmology(), Relations()
    prior = {kind: Prior.from_config(whole["assignment"]["prior"][kind]) for kind in KINDS}
    search = Search("choose", whole["neighbours"]["k"], whole["neighbours"]["draws"], True, 1, cosmo, relations, prior)
    cone = LightCone(cosmo=cosmo, n_galaxies=N_CONE).draw(0, N_CONE)
    cone = {name: cone[name] for name in ("galaxy_id", "redshift", "log_mstar")}
    contestants, limit = {}, age_max(cosmo, cone["redshift"])
    for kind in KINDS:
        recipe = parent.recipe(
            kind, N_PARENT[kind], "default", seed=1, cosmology=whole["cosmology"],
            relations=whole["relations"], sps=whole["sps"] | {"table": str(TABLE)},
            uvj_box=whole["quiescent"]["uvj_box"] if kind == "quiescent" else None,
        )  # fmt: skip
        points, _ = parent.points(np.arange(recipe["n"]), recipe, engine)
        metric = metric_of(kind, "default", {})
        tree = KDTree.of(metric.coordinates(points), points["age"], metric.carried(points))
        cloud = Cloud(kind, [tree], metric)
        weights = balance.of_run(cloud, search, (0.0, 12.0), (8.0, 12.5)) if kind == "star_forming" else None
        of_kind = partial(place, limit=limit, cloud=cloud, search=search, points=points, engine=engine)
        contestants[kind] = Contestant(partial(of_kind, cone, weights), N_CONE)
        if weights is not None:
            # the time of an interpolation does not depend on its nodes
            weights = replace(weights, given_sfr=np.stack([weights.coefficients] * len(SFR_OFFSETS)))
            contestants["given"] = Contestant(partial(of_kind, given(cone, relations), weights), N_CONE)
        some = np.arange(1000)
        contestants[f"parent {kind}"] = Contestant(partial(parent.points, some, recipe, engine), len(some))
    return contestants


def given(cone: dict[str, NDArray], relations: Relations) -> dict[str, NDArray]:
    """Return galaxies whose table gives SFR and metallicity, off their relations as those of surveys are."""
    mass, z, rng = cone["log_mstar"], cone["redshift"], np.random.default_rng(1)
    log_sfr = relations.log_sfr_star_forming.mean(mass, z) + rng.normal(0.0, 0.4, len(z))
    log_zmet = relations.log_zmet.mean(mass, log_sfr, z) + rng.normal(0.0, 0.2, len(z))
    return cone | {"given_log_sfr": log_sfr, "given_log_zmet": log_zmet}


def place(
    cone: dict[str, NDArray], weights: balance.Balance | None, limit: Array, cloud: Cloud, search: Search,
    points: dict[str, Array], engine: Engine,
) -> None:  # fmt: skip
    """Draw, search, choose and assign, as if all galaxies were of one class."""
    found = neighbours.of_class(cone, cloud, search, weights)
    assign.assign(
        cone | found, limit, lambda names, rows: {name: points[name][rows] for name in names},
        metric=cloud.metric, method="choose", seed=1, engine=engine, nebular=cloud.kind == "star_forming",
    )  # fmt: skip


def times(seconds: dict[str, Array]) -> Section:
    """Return the rows of times, in microseconds a galaxy."""

    def row(name: str, key: str, at_most: float | None = None) -> Row:
        return Row(name, spread(seconds[key] * 1e6) if key in seconds else None, at_most=at_most)

    more = seconds["given"] - seconds["star_forming"]
    whole = seconds["star_forming"] + seconds["derived free"] + seconds["magnitudes free"]
    return Section(
        "time of a galaxy [us]: one process, one core, one thread",
        [
            row(f"spectra: gas, dust, 1936 wavelengths, {N_SPECTRA} a call", "spectra", at_most=60.0),
            row("the same, a slope of the attenuation curve for each galaxy", "spectra free", at_most=32.0),
            *(row(f"the same, {n} a call", f"spectra by {n}") for n in reversed(CALL_SIZES)),
            row("spectra: stars, dust", "stars"),
            row("luminosities of 166 emission lines", "lines"),
            row("derived quantities (SFR, mass, M_UV, beta, colours)", "derived", at_most=5.0),
            row("the same with a slope for each galaxy", "derived free"),
            row("10 apparent magnitudes, with IGM", "magnitudes", at_most=150.0),
            row("the same with a slope for each galaxy", "magnitudes free"),
            row(f"{len(sample.default_filters())} apparent magnitudes, the default", "default magnitudes"),
            row("a star-forming point of the parent", "parent star_forming"),
            row("a quiescent point of the parent, in the UVJ box", "parent quiescent"),
            row("draws, 36 neighbours among 1e6, choice, assignment: star-forming", "star_forming", at_most=60.0),
            Row("more of it where the table gives SFR and metallicity", spread(more * 1e6), at_most=40.0),
            row("the same among 2e5: quiescent", "quiescent", at_most=60.0),
            Row("all of a star-forming galaxy, 10 magnitudes", spread(whole * 1e6), at_most=110.0),
            row("python-fsps warm: metallicity as in the call before", "fsps warm"),
            row("python-fsps cold: a new metallicity", "fsps cold"),
            row("DSPS: stars, dust; vmap, single precision", "dsps single"),
            row("DSPS: stars, dust; vmap, double precision (its own)", "dsps double"),
            row("weights of DSPS, then one matrix product and dust", "dsps product"),
        ],
    )


def ratios(seconds: dict[str, Array]) -> Section:
    """Return the rows of ratios."""

    def row(name: str, slow: str, quick: str, at_least: float | None = None) -> Row:
        found = spread(seconds[slow] / seconds[quick]) if slow in seconds else None
        return Row(name, found, at_least=at_least)

    return Section(
        "how many times quicker: each ratio within one round",
        [
            row("spectra, python-fsps warm", "fsps warm", "spectra", at_least=250.0),
            row("derived quantities, python-fsps warm", "fsps warm", "derived", at_least=3000.0),
            row("spectra with gas, DSPS without, single precision", "dsps single", "spectra", at_least=20.0),
            row("spectra with gas, DSPS without, double precision", "dsps double", "spectra"),
            row("spectra without gas, DSPS, single precision", "dsps single", "stars"),
            row("spectra without gas, weights of DSPS and one product", "dsps product", "stars"),
        ],
    )


def differences(engine: Engine, have_fsps: bool, have_dsps: bool) -> Section:
    """Return the rows that say whether the same was computed."""
    seen = (engine.wavelength > 912.0) & (engine.wavelength < 3e5)

    def row(name: str, theirs: Array, own: NDArray[np.float32]) -> Row:
        difference = np.abs(theirs[:, seen] / own[:, seen] - 1.0) * 100.0
        return Row(name, Spread(*(float(np.percentile(difference, q)) for q in (50, 0, 99))))

    fsps_name, dsps_names = "python-fsps, gas and dust", {
        False: "DSPS, stars and dust, single precision",
        True: "DSPS, stars and dust, double precision",
    }  # fmt: skip
    rows = []
    if have_fsps:
        age, tau, log_zmet, log_us, dust2, _ = sample.parameters(sample.galaxies(N_FSPS))
        log_zmet = np.full(N_FSPS, rivals.LOG_ZMET)
        theirs = np.array([rivals.fsps_spectrum(*row) for row in zip(age, tau, log_us, dust2, strict=True)])
        rows.append(row(fsps_name, theirs, engine.spectra(age, tau, log_zmet, log_us, dust2, nebular=True)))
    else:
        rows.append(Row(fsps_name, None))
    for double, name in dsps_names.items():
        if have_dsps:
            age, tau, log_zmet, dust2 = galaxies = rivals.dsps_galaxies(engine.table, 128)
            own = engine.spectra(age, tau, log_zmet, np.full(len(age), -2.0), dust2, nebular=False)
            rows.append(row(name, rivals.dsps(engine.table, galaxies, double=double)(), own))
        else:
            rows.append(Row(name, None))
    return Section("relative difference of their spectra [%], 912 A - 30 um: median, lowest - 99th percentile", rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(pickle.dumps(main()))
