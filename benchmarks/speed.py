"""Times of a galaxy, everything in one process on one core: run by `python -m benchmarks`."""

import pickle
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import rivals, sample
from benchmarks.report import Row, Section, Spread, spread
from benchmarks.timing import Contestant, interleaved
from mocksed import assign, parent, quiescent, quiescent_proposal, reach
from mocksed.cosmology import Cosmology, age_max
from mocksed.errors import UserError
from mocksed.galaxies.lightcone import LightCone
from mocksed.kdtree import KDTree
from mocksed.neighbours import METRICS
from mocksed.relations import Relations
from mocksed.sps import fsps, table
from mocksed.sps.engine import Engine
from mocksed.uvj import WILLIAMS2009

Array = NDArray[np.float64]
Neighbours = tuple[NDArray[np.int64], Array, NDArray[np.bool_]]

ROUNDS = 9
N_SPECTRA, N_MAGNITUDES, N_DERIVED, N_FSPS, N_PRODUCT = 4096, 2048, 20_000, 25, 1024
CALL_SIZES = (1, 16, 256)
N_CONE, N_PARENT = 10_000, 300_000


def main() -> list[Section]:
    """Return the sections of the table."""
    engine = Engine(table.read(sample.TABLE))
    contestants = ours(engine) | pipeline(engine)
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


def ours(engine: Engine) -> dict[str, Contestant]:
    """Return what the stellar population engine does."""
    columns = sample.galaxies(N_SPECTRA)
    spectra = sample.parameters(columns)
    some = {name: values[:N_MAGNITUDES] for name, values in columns.items()}
    many = sample.galaxies(N_DERIVED)

    def in_calls_of(n: int) -> None:
        for first in range(0, max(CALL_SIZES), n):
            engine.spectra(*(values[first : first + n] for values in spectra), nebular=True)

    return {
        "spectra": Contestant(lambda: engine.spectra(*spectra, nebular=True), N_SPECTRA),
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
    """Return the stages whose cost is not in the engine alone, for the galaxies of a light cone."""
    cosmo, scatter, metric = Cosmology(), Relations(), METRICS["default"]
    prior = parent.PRESETS["star_forming"]["default"]
    drawn = parent.sample(np.arange(N_PARENT), prior, quiescent=False, seed=1, cosmo=cosmo, scatter=scatter)
    points = parent.evaluate(drawn, engine, quiescent=False)
    search = KDTree.of(metric.coordinates(points), points["age"])
    cone = LightCone(cosmo=cosmo, n_galaxies=N_CONE).draw(0, N_CONE)
    cone = {name: cone[name] for name in ("galaxy_id", "redshift", "log_mstar", "quiescent")}
    galaxies = {name: values[~cone["quiescent"]] for name, values in cone.items() if name != "quiescent"}
    limit, models = age_max(cosmo, galaxies["redshift"]), reach.Models(engine, scatter, cosmo)
    n = len(limit)

    def propose(with_models: reach.Models | None) -> dict[str, Array]:
        return assign.propose(**galaxies, seed=1, scatter=scatter, age_limit=limit, models=with_models)

    def refine(found: Neighbours, proposal: dict[str, Array]) -> None:
        rows, distance, any_found = found
        nearby = {name: points[name][rows].astype(float) for name in assign.PARAMETERS}
        assign.assign(
            nearby, distance, any_found, galaxies, proposal, limit, metric=metric, method="refine", seed=1,
            engine=engine,
        )  # fmt: skip

    contestants = {"propose": Contestant(partial(propose, models), n)}
    for kind, with_models in (("joint", models), ("independent", None)):
        proposal = propose(with_models)
        find = partial(search.nearest_allowed, metric.coordinates(proposal | galaxies), 10, limit)
        contestants[f"neighbours {kind}"] = Contestant(find, n)
        contestants[f"refine {kind}"] = Contestant(partial(refine, find(), proposal), n)
    quiescents = {name: values[cone["quiescent"]] for name, values in cone.items() if name != "quiescent"}
    tries = quiescent.Prior(parent.PRESETS["quiescent"]["default"], WILLIAMS2009, 500, 1, cosmo, scatter)
    colours = quiescent_proposal.colours(engine, quiescent.dust2_range(tries.sampling))
    draw = partial(quiescent.assign, quiescents, tries, engine, table=colours)
    return contestants | {"quiescent": Contestant(draw, len(quiescents["redshift"]))}


def times(seconds: dict[str, Array]) -> Section:
    """Return the rows of times, in microseconds a galaxy."""

    def row(name: str, key: str, at_most: float | None = None) -> Row:
        return Row(name, spread(seconds[key] * 1e6) if key in seconds else None, at_most=at_most)

    def together(refine: str) -> Spread:
        return spread((seconds[refine] + seconds["quiescent"]) * 1e6)

    return Section(
        "time of a galaxy [us]: one process, one core, one thread",
        [
            row(f"spectra: gas, dust, 1936 wavelengths, {N_SPECTRA} a call", "spectra", at_most=60.0),
            *(row(f"the same, {n} a call", f"spectra by {n}") for n in reversed(CALL_SIZES)),
            row("spectra: stars, dust", "stars"),
            row("luminosities of 166 emission lines", "lines"),
            row("derived quantities (SFR, mass, M_UV, beta, colours)", "derived", at_most=5.0),
            row("10 apparent magnitudes, with IGM", "magnitudes", at_most=150.0),
            row(f"{len(sample.default_filters())} apparent magnitudes, the default", "default magnitudes"),
            row("proposals that models meet", "propose"),
            row(f"10 neighbours of these among {N_PARENT:,} points", "neighbours joint"),
            row("10 neighbours of independent proposals", "neighbours independent"),
            row("assignment by refine", "refine joint"),
            row("assignment by refine, independent proposals", "refine independent"),
            row("quiescent galaxy in the UVJ box", "quiescent"),
            Row("refine and quiescent, added up", together("refine joint"), at_most=300.0),
            Row("the same, independent proposals", together("refine independent"), at_most=300.0),
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
        age, tau, log_zmet, log_us, dust2 = sample.parameters(sample.galaxies(N_FSPS))
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
