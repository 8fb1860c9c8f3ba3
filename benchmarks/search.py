"""Measure the neighbour search beside other trees and the naive way: `python -m benchmarks.search`.

Everything is on one core and one thread. Parents and galaxies are those of the default config; the table goes to
benchmarks/search.txt, the cost of a query against the number of points to benchmarks/search.json and, with what an
earlier run found for more points, to benchmarks/search.png. With ``--largest 1e8`` the points take 5 GB, the tree 5 GB
while it is built and the whole about 17 minutes, else 6.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.report import Row, Section, Spread, render, spread
from benchmarks.runs import TABLE
from benchmarks.timing import Contestant, elapsed, interleaved
from mocksed.cosmology import Cosmology, age_max
from mocksed.diagnostics import style
from mocksed.galaxies.lightcone import LightCone
from mocksed.relations import Relations
from mocksed.run import configuration
from mocksed.run.laws import search_us
from mocksed.search import draw, kdtree, parent
from mocksed.search.kdtree import KDTree, Nearest
from mocksed.search.metric import METRICS, Metric
from mocksed.sps import table
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model

Points = NDArray[np.float32]
Columns = dict[str, NDArray]

FOLDER = Path(__file__).parent
COSTS = FOLDER / "search.json"
WHOLE = configuration.load({"run": "benchmark"})
OURS, APRIL, K = "default", "drakos2021a", WHOLE["neighbours"]["k"]
N_GALAXIES, N_SLOW, N_NAIVE = 300_000, 20_000, 1000  # targets: of us, of what is slower, of the naive way
N_RIVALS = 10_000_000  # points that all search
MIN_LOG_MSTAR = 7.0
ROUNDS = 3
_WIDENING = (2, 4, 16)
_QUICK = {"balanced_tree": False, "compact_nodes": False}  # sliding midpoint
_STRETCH = 1000  # galaxies
_BLOCK = 500_000


class Cost(NamedTuple):
    """Time of a query [us] and of building the tree [s], on one core."""

    query_us: float
    build_s: float


def metric_of(name: str) -> Metric:
    """Return the metric of star-forming galaxies of a preset."""
    return METRICS[name]["star_forming"]


def nearest(tree: KDTree, targets: Points, limit: NDArray) -> Nearest:
    """Return what a search finds."""
    found = Nearest.none(len(targets), K)
    tree.search(targets, limit, found)
    return found


def parents(n: int) -> tuple[dict[str, Points], NDArray[np.float32]]:
    """Return coordinates of star-forming parents in the default metric and that of April 2021, and their ages [Gyr]."""
    sps = WHOLE["sps"] | {"table": str(TABLE)}
    engine = Engine(table.read(TABLE), Model.from_config(sps))
    recipe = parent.recipe(
        "star_forming", n, "default", seed=1, cosmology=WHOLE["cosmology"], relations=WHOLE["relations"],
        sps=sps,
    )  # fmt: skip
    points = {name: np.empty((n, len(metric_of(name).scales)), np.float32) for name in (OURS, APRIL)}
    age = np.empty(n, np.float32)
    for start in range(0, n, _BLOCK):
        ids = np.arange(start, min(start + _BLOCK, n))
        columns, _ = parent.points(ids, recipe, engine)
        for name, coordinates in points.items():
            coordinates[ids] = metric_of(name).coordinates(columns)
        age[ids] = columns["age"]
    return points, age


def galaxies(n: int) -> tuple[Callable[[Metric], Points], NDArray[np.float64]]:
    """Return what gives the targets of star-forming galaxies of a light cone in a metric, and their age limits."""
    drawn = LightCone(cosmo=Cosmology(), n_galaxies=n, log_mstar=(MIN_LOG_MSTAR, 12.5), seed=3).draw(0, n)
    own = {name: values[~drawn["quiescent"]] for name, values in drawn.items()}
    uniform = draw.numbers("star_forming", own["galaxy_id"], 1)
    asked = draw.independent(uniform, own["log_mstar"], own["redshift"], Relations())
    asked["beta"] = draw.star_forming(uniform, own["log_mstar"], own["redshift"], Relations())["beta"]
    order = kdtree.order(metric_of(OURS).coordinates(asked | own))
    in_order = {name: values[order] for name, values in (asked | own).items()}
    return lambda metric: metric.coordinates(in_order), age_max(Cosmology(), in_order["redshift"])


def widening(tree, points: Points, age: NDArray, targets: Points, limit: NDArray) -> NDArray[np.bool_]:  # type: ignore[no-untyped-def]
    """Search for more points until enough of them are young enough; return for which targets that did not do."""
    left = np.arange(len(targets))
    for width in (factor * K for factor in _WIDENING):
        unfinished = [left[:0]]
        for part in np.array_split(left, max(len(left) * width // 2_000_000, 1)):
            _, rows = tree.query(targets[part], k=width)
            difference = points[rows].astype(np.float64) - targets[part][:, None]
            distance = np.einsum("...d,...d->...", difference, difference)
            rows = np.take_along_axis(rows, np.lexsort((rows, distance)), 1)
            unfinished.append(part[(age[rows] <= limit[part, None]).sum(axis=1) < K])
        left = np.concatenate(unfinished)
    return np.isin(np.arange(len(targets)), left)


def one_by_one(tree, targets: NDArray[np.float64]) -> None:  # type: ignore[no-untyped-def]
    """Search as scripts do."""
    for target in targets:
        tree.query(target, k=K)


def rivals(points: dict[str, Points], age: NDArray[np.float32]) -> list[Section]:
    """Return what a query costs with other trees, and the naive way, among the same points."""
    from pykdtree.kdtree import KDTree as PyKDTree
    from scipy.spatial import cKDTree

    n, (targets_in, limit) = len(age), galaxies(N_GALAXIES)
    targets, april_targets = targets_in(metric_of(OURS)), targets_in(metric_of(APRIL))
    # the same galaxies for all: every so many stretches of those that are neighbours of each other
    stretches = np.array_split(np.arange(len(targets)), len(targets) // _STRETCH)
    few = np.concatenate(stretches[:: len(targets) // N_SLOW])
    shuffled = np.random.default_rng(0).permutation(few)
    trees: dict[str, Any] = {}
    built = {
        "ours": elapsed(lambda: trees.update(ours=KDTree.of(points[OURS], age))),
        "pykdtree": elapsed(lambda: trees.update(pykdtree=PyKDTree(points[OURS]))),
        "scipy": elapsed(lambda: trees.update(scipy=cKDTree(points[OURS], **_QUICK))),
    }  # fmt: skip
    trees["april"] = KDTree.of(points[APRIL], age)
    everything = np.full(len(few), np.inf)
    search = {
        "ours": Contestant(lambda: nearest(trees["ours"], targets, limit), len(targets)),
        "april": Contestant(lambda: nearest(trees["april"], april_targets[few], everything), len(few)),
        "few": Contestant(lambda: nearest(trees["ours"], targets[few], limit[few]), len(few)),
        "any age": Contestant(lambda: nearest(trees["ours"], targets[few], everything), len(few)),
        "pykdtree": Contestant(lambda: trees["pykdtree"].query(targets[few], k=K), len(few)),
        "pykdtree shuffled": Contestant(lambda: trees["pykdtree"].query(targets[shuffled], k=K), len(few)),
        "widening": Contestant(
            lambda: widening(trees["pykdtree"], points[OURS], age, targets[few], limit[few]), len(few)
        ),
        "scipy": Contestant(lambda: trees["scipy"].query(targets[few], k=K), len(few)),
        "scipy shuffled": Contestant(lambda: trees["scipy"].query(targets[shuffled], k=K), len(few)),
    }  # fmt: skip
    seconds = interleaved(search, ROUNDS)
    unfinished = widening(trees["pykdtree"], points[OURS], age, targets[few], limit[few]).mean()

    def row(name: str, key: str, at_most: float | None = None) -> Row:
        return Row(name, spread(seconds[key] * 1e6), at_most=at_most)

    def once(name: str, value: float, at_most: float | None = None) -> Row:
        return Row(name, Spread(value, value, value), at_most=at_most)

    def ratio(name: str, slow: str, quick: str, at_least: float | None = None) -> Row:
        return Row(name, spread(seconds[slow] / seconds[quick]), at_least=at_least)

    sections = [
        Section(
            f"time of a query [us]: {K} neighbours among {n:,} points, default metric; targets ordered but where said",
            [
                row(f"ours, allowed ages, {len(targets):,} targets", "ours", at_most=60.0),
                row(f"ours, allowed ages, {len(few):,} targets", "few"),
                row("ours, any age", "any age"),
                row("pykdtree, any age", "pykdtree"),
                row("pykdtree, any age, targets in random order", "pykdtree shuffled"),
                row(f"pykdtree, allowed ages by widening to {', '.join(map(str, _WIDENING))} times {K}", "widening"),
                row("scipy cKDTree, any age", "scipy"),
                row("scipy cKDTree, any age, targets in random order", "scipy shuffled"),
                row("ours, any age, April metric", "april"),
            ],
        ),
        Section(
            "galaxies [%] for which the widening has not found enough",
            [once("to be searched among all points", 100.0 * float(unfinished))],
        ),
        Section(
            "how many times quicker: each ratio within one round",
            [
                ratio("ours than pykdtree and widening", "widening", "few"),
                ratio("ours than pykdtree, any age", "pykdtree", "any age"),
                ratio("ours than scipy, any age", "scipy", "any age"),
            ],
        ),
        Section(
            f"time to build the tree of {n:,} points [s]",
            [
                once("ours", built["ours"], at_most=10.0),
                once("pykdtree", built["pykdtree"]),
                once("scipy cKDTree, sliding midpoint", built["scipy"]),
            ],
        ),
    ]
    return sections


def naive(tree: KDTree, april: Points) -> Section:
    """Return how the naive way compares among the same points."""
    from scipy.spatial import cKDTree

    targets_in, limit = galaxies(N_GALAXIES)
    targets, naive_targets = targets_in(metric_of(OURS)), targets_in(metric_of(APRIL))[:N_NAIVE].astype(np.float64)
    scipy_tree = cKDTree(april.astype(np.float64))

    def ours(threads: int) -> None:
        numba.set_num_threads(threads)
        nearest(tree, targets, limit)
        numba.set_num_threads(1)

    search = {
        "naive": Contestant(lambda: one_by_one(scipy_tree, naive_targets), N_NAIVE),
        "ours": Contestant(partial(ours, 1), len(targets)),
        "two": Contestant(partial(ours, 2), len(targets)),
    }
    seconds = interleaved(search, ROUNDS)
    return Section(
        f"the naive way among {len(april):,} points: scipy cKDTree, one query a call in a loop, April metric",
        [
            Row("the naive way [us]", spread(seconds["naive"] * 1e6)),
            Row("ours, default metric, one core [us]", spread(seconds["ours"] * 1e6)),
            Row("ours, default metric, two cores [us]", spread(seconds["two"] * 1e6)),
            Row("how many times quicker, one core", spread(seconds["naive"] / seconds["ours"]), at_least=50.0),
            Row("how many times quicker, two cores", spread(seconds["naive"] / seconds["two"])),
        ],
    )


def cost(points: Points, age: NDArray[np.float32]) -> Cost:
    """Return what a tree and its search cost."""
    targets_in, limit = galaxies(N_GALAXIES)
    targets = targets_in(metric_of(OURS))
    trees: list[KDTree] = []
    build_s = elapsed(lambda: trees.append(KDTree.of(points, age)))
    seconds = interleaved({"query": Contestant(lambda: nearest(trees[0], targets, limit), len(targets))}, 3)
    return Cost(float(np.median(seconds["query"])) * 1e6, build_s)


def law(costs: dict[int, Cost]) -> Section:
    """Return the cost of a query against the number of points, and what it means for 1e8 galaxies."""
    rows = []
    for n, found in costs.items():
        name = f"{n:.0e} points (law: {search_us(n):.1f}; tree in {found.build_s:.1f} s)"
        rows.append(Row(name, Spread(*[found.query_us] * 3), at_most={10**7: 60.0, 10**8: 100.0}.get(n)))
    log_n, log_us = np.log10(list(costs)), np.log10([found.query_us for found in costs.values()])
    power, at_1e6 = np.polyfit(log_n - 6.0, log_us, 1)
    title = f"time of a query [us]; fit {10**at_1e6:.2f} us (n / 1e6)^{power:.3f}; in mocksed.run.laws the law"
    core_hours = 1e8 * search_us(1e8) * 1e-6 / 3600.0
    predicted = Row("1e8 galaxies x 1e8 points by the law [core-h]", Spread(*[core_hours] * 3), at_most=6.0)
    return Section(title, [*rows, predicted])


def draw_costs(costs: dict[int, Cost]) -> None:
    """Write the figure of the law."""
    figure = style.figure(5.0, 3.6)
    axes = figure.subplots()
    n = np.geomspace(min(costs), 1e8, 50)
    axes.loglog(n, [search_us(value) for value in n], color="0.5", label="law of mocksed.run.laws")
    axes.loglog(list(costs), [found.query_us for found in costs.values()], "o", label="measured, one core")
    axes.axhline(100.0, color="0.8", ls=":", label="asked for at 1e8: 100 us")
    axes.set(xlabel="parent points", ylabel="time of a query [us]", ylim=(3.0, 300.0))
    axes.legend()
    figure.savefig(FOLDER / "search.png", dpi=150, metadata={"Software": None})


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=float, default=1e7, help="most points; rivals search 1e7")
    largest = int(parser.parse_args().largest)
    points, age = parents(largest)  # on all cores
    numba.set_num_threads(1)
    nearest(KDTree.of(points[OURS][:100], age[:100]), points[OURS][:10], np.full(10, np.inf))  # compile
    few = min(N_RIVALS, largest)
    with threadpool_limits(1):
        sections = rivals({name: values[:few] for name, values in points.items()}, age[:few])
    sections.append(naive(KDTree.of(points[OURS][:few], age[:few]), points.pop(APRIL)[:few]))
    print(render(sections), file=sys.stderr)
    costs = {int(n): Cost(*found) for n, found in json.loads(COSTS.read_text()).items()} if COSTS.exists() else {}
    for n in (10**power for power in range(5, 9) if 10**power <= largest):
        costs[n] = cost(points[OURS][:n], age[:n])
        print(f"{n:.0e} points: {costs[n]}", file=sys.stderr)
    COSTS.write_text(json.dumps(costs, indent=2) + "\n")
    draw_costs(costs)
    said = shlex.join(["python", "-m", "benchmarks.search", *sys.argv[1:]])
    text = f"{said}\n\n{render([*sections, law(costs)])}"
    print(text)
    (FOLDER / "search.txt").write_text(text)


if __name__ == "__main__":
    main()
