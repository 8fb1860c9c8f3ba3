import json
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocksed.errors import UserError
from mocksed.run import configuration, cost, laws
from mocksed.search import KINDS

ROOT = Path(__file__).parents[1]
SMK = [path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
RULES = sorted({name for text in SMK for name in re.findall(r"^\s*rule (\w+):", text, re.MULTILINE)})
DEFAULT = configuration.load({"run": "test"})
COST = json.loads((ROOT / "benchmarks" / "cost.json").read_text())
PASSING = {"neighbours", "assign"}
SCALE = json.loads((ROOT / "benchmarks" / "scale.json").read_text())
AT_SCALE = [pytest.param(run, rule, id=f"{name}-{rule}") for name, run in SCALE.items() for rule in run["rules"]]
MEASURED = [pytest.param(m, id=f"{m['run']}-{m['rule']}") for m in COST["measurements"]]


def complete(
    *,
    galaxies=10**6,
    galaxy_shards=1,
    parents=10**5,
    quiescent=1000,
    parent_shards=1,
    drawn=1000,
    max_memory_gb=1e6,
    threads=1,
):
    return DEFAULT | {
        "galaxies": DEFAULT["galaxies"]
        | {"source": "lightcone", "shards": galaxy_shards}
        | {"lightcone": DEFAULT["galaxies"]["lightcone"] | {"n_galaxies": galaxies}},
        "parent": {"shards": parent_shards, "star_forming": {"n": parents}, "quiescent": {"n": quiescent}},
        "neighbours": DEFAULT["neighbours"] | {"max_memory_gb": max_memory_gb, "threads": threads},
        "diagnostics": DEFAULT["diagnostics"] | {"max_galaxies": drawn},
    }


@cache
def config_of(run):
    """Return the complete configuration of a run that was measured."""
    return configuration.load({"run": run, **COST["configs"][run]}, to_plan=True)


@pytest.mark.parametrize("size", ["2e4", "2e5", "2e6"])
def test_every_rule_was_measured_at_every_size(size):
    runs = {m["rule"] for m in COST["measurements"] if m["run"].removesuffix("table").removesuffix("trees") == size}
    elsewhere = {"ssp_table", "survey", "observed", "export", "sky", {"2e4": "input_table", "2e6": "compare"}.get(size)}
    assert runs - {"compare"} == set(RULES) - elsewhere - {"compare"}
    assert {"survey", "observed", "export"} <= {m["rule"] for m in COST["measurements"]}
    n = config_of(size)
    parents = {kind: n["parent"][kind]["n"] for kind in KINDS}
    assert (laws.galaxies(n), parents) == (
        float(size),
        {"star_forming": 5 * float(size), "quiescent": float(size)},
    )


@pytest.mark.parametrize("measured", MEASURED)
def test_memory_requested_is_little_more_than_the_measured(measured):
    requested = cost.job(measured["rule"], config_of(measured["run"])).memory_mb
    assert 1.1 <= requested / (measured["memory_mb"] + laws.SNAKEMAKE_MB) <= 2.0


@pytest.mark.parametrize("measured", MEASURED)
def test_the_time_expected_is_the_measured_within_a_factor_2(measured):
    source = config_of(measured["run"])
    assert 0.5 <= cost.seconds(measured["rule"], source) / measured["longest_cpu_seconds"] <= 2.0
    if planned := cost.plan(source).get(measured["rule"]):
        assert 0.5 <= 3600.0 * planned.core_hours / (planned.jobs * measured["cpu_seconds"]) <= 2.0


@pytest.mark.parametrize(("run", "rule"), AT_SCALE)
def test_the_laws_hold_up_to_the_largest_run(run, rule):
    source, measured = configuration.load(run["config"]), run["rules"][rule]
    requested, planned = cost.job(rule, source).memory_mb, cost.plan(source)[rule]
    assert 1.0 <= requested / (measured["memory_mb"] + laws.SNAKEMAKE_MB) <= 2.0  # some of the jobs compiled functions
    slower = run["reference_s"][0] / laws.REFERENCE_S
    assert 0.5 <= slower * 3600.0 * planned.core_hours / measured["cpu_s"] <= 2.0
    assert measured["jobs"] == planned.jobs


@pytest.mark.parametrize("measured", MEASURED)
def test_a_measurement_is_of_the_rows_and_jobs_of_its_run(measured):
    source, rule = config_of(measured["run"]), measured["rule"]
    assert (laws.rows(rule, source), laws.points(rule, source)) == (measured["rows"], measured["points"])
    if planned := cost.plan(source).get(rule):
        of_spectra = measured["run"].endswith("seen")  # that plot alone, and all others elsewhere
        plots = 1 if of_spectra else planned.jobs
        assert measured["jobs"] == (plots if rule == "plot" else planned.jobs)


@pytest.mark.parametrize("measured", [m for m in MEASURED if m.values[0]["disk_bytes"] > 10e6])
def test_disk_is_the_measured(measured):
    planned = cost.plan(config_of(measured["run"])).get(measured["rule"])
    if planned and measured["rule"] not in ("plot", "compare"):
        assert planned.disk_gb == pytest.approx(measured["disk_bytes"] / 1e9, rel=0.25)


@pytest.mark.parametrize("galaxies", [10**4, 10**5, 10**6, 10**7, 10**8, 10**9])
@pytest.mark.parametrize("parents", [10**5, 10**8])
def test_shards_are_chosen_for_jobs_of_a_sensible_size(galaxies, parents):
    source = complete(galaxies=galaxies, galaxy_shards="auto", parents=parents, parent_shards="auto", max_memory_gb=8)
    chosen = cost.with_shards(source)
    shards, parent_shards = chosen["galaxies"]["shards"], chosen["parent"]["shards"]
    assert parent_shards == 4
    assert shards == 4 if galaxies <= 10**6 else 4 <= shards <= 100 * galaxies / 1e8
    longest = max(need.seconds for need in cost.plan(chosen).values() if need.jobs == shards)
    assert longest < 1800.0
    if shards > 4:  # minutes; and with some jobs less they would be too long, or too large
        assert longest > 150.0
        larger = chosen | {"galaxies": chosen["galaxies"] | {"shards": round(0.8 * shards)}}
        needs = [need for need in cost.plan(larger).values() if need.jobs == round(0.8 * shards)]
        assert max(need.seconds for need in needs) > 900.0 or max(need.memory_mb for need in needs) > 5333


def test_shards_that_are_given_stay():
    chosen = cost.with_shards(complete(galaxies=10**9, galaxy_shards=3, parent_shards=7))
    assert (chosen["galaxies"]["shards"], chosen["parent"]["shards"]) == (3, 7)


def test_more_realisations_have_more_shards_and_less_memory_too():
    def shards(realisations=1, max_memory_gb=8):
        source = complete(galaxies=10**8, galaxy_shards="auto", max_memory_gb=max_memory_gb)
        return cost.with_shards(source | {"realisations": realisations})["galaxies"]["shards"]

    assert shards(realisations=8) == pytest.approx(8 * shards(), rel=0.05)
    assert shards(max_memory_gb=4) == pytest.approx(2 * shards(), rel=0.05)
    assert cost.with_shards(complete(galaxies=10**13, galaxy_shards="auto"))["galaxies"]["shards"] == 9999


def test_ranks_have_several_shards_each():
    small = complete(galaxies=1000, galaxy_shards="auto", parent_shards="auto")
    chosen = cost.with_shards(small | {"mpi": small["mpi"] | {"tasks": 5}})
    assert chosen["galaxies"]["shards"] == chosen["parent"]["shards"] == 20


def test_with_ranks_three_rules_are_a_job_each():
    alone = complete(galaxies=10**8, galaxy_shards=12, parents=10**8, parent_shards=12, threads=2)
    serial, ranked = cost.plan(alone), cost.plan(alone | {"mpi": alone["mpi"] | {"tasks": 3}})
    assert {rule for rule, need in ranked.items() if need != serial[rule]} == {"parent", "neighbours", "spectra"}
    for rule in ("parent", "neighbours", "spectra"):
        one, all_ = serial[rule], ranked[rule]
        assert (all_.jobs, all_.memory_mb, all_.disk_gb) == (1, 3 * one.memory_mb, one.disk_gb)
        assert 0.7 < all_.core_hours / one.core_hours < 1.0  # fewer starts
        cores = 3 * (2 if rule == "neighbours" else 1)
        assert 0.999 < cores * all_.seconds / (3600.0 * all_.core_hours) < 1.2  # one thread starts a rank
    config = alone | {"mpi": alone["mpi"] | {"tasks": 3}}
    requested = cost.on_ranks("spectra", config)
    assert requested.memory_mb == cost.job("spectra", config).memory_mb
    assert requested.minutes == pytest.approx(2.0 * ranked["spectra"].seconds / 60.0, abs=7.0)


def test_every_rule_asks_for_the_resources_of_its_name():
    assert {"parent", "tree", "neighbours", "catalog", "spectra", "lightcone", "summary"} <= set(RULES)
    for text in SMK:
        names = re.findall(r"^\s*rule (\w+):", text, re.MULTILINE)
        assert re.findall(r'resources_of(?:_ranks)?\("(\w+)"', text) == names


def test_what_passes_is_temporary_in_the_workflow():
    of_rules = [re.split(r"^\s*rule (\w+):", text, flags=re.MULTILINE)[1:] for text in SMK]
    bodies = {name: body for parts in of_rules for name, body in zip(parts[::2], parts[1::2], strict=True)}
    assert {name for name, body in bodies.items() if re.search(r"output:\s+temp\(", body)} == PASSING
    assert {name for name, rule in laws.RULES.items() if rule.passing} == PASSING


def test_the_disk_is_that_of_what_is_kept_and_of_the_shards_at_work():
    config = complete(galaxies=10**8, galaxy_shards=20, parents=10**8)
    needs = cost.plan(config)
    passing = sum(needs[rule].disk_gb for rule in PASSING)
    kept, of_a_shard = cost.disk(config, needs)
    assert kept + 20 * of_a_shard == pytest.approx(sum(need.disk_gb for need in needs.values()))
    assert 20 * of_a_shard == pytest.approx(passing)
    ranked = config | {"mpi": config["mpi"] | {"tasks": 2}}  # one job makes all neighbours, which are kept
    assert cost.disk(ranked, cost.plan(ranked)).per_shard == pytest.approx(needs["assign"].disk_gb / 20)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_positive_needs(rule):
    for source in (DEFAULT, complete(), complete(galaxies=1, galaxy_shards=9999, parents=100, parent_shards=9999)):
        need = cost.job(rule, source)
        assert all(type(value) is int for value in need)
        assert need.memory_mb >= 600  # below it Snakemake itself is killed
        assert need.minutes >= 1


@pytest.mark.parametrize("rule", RULES)
@given(
    rows=st.fixed_dictionaries(
        {
            "galaxies": st.integers(1, 10**9),
            "parents": st.integers(100, 10**9),
            "quiescent": st.integers(100, 10**9),
            "drawn": st.integers(1, 10**8),
        }
    ),
    factor=st.integers(1, 100),
    shards=st.integers(1, 9999),
)
def test_more_rows_need_no_less_and_more_shards_no_more(rule, rows, factor, shards):
    few, many = (
        cost.job(rule, complete(**values)) for values in (rows, {name: factor * value for name, value in rows.items()})
    )
    split = cost.job(rule, complete(**rows, galaxy_shards=shards, parent_shards=shards))
    assert many.memory_mb >= few.memory_mb >= split.memory_mb
    assert many.minutes >= few.minutes >= split.minutes


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        *((rule, "galaxies") for rule in ("lightcone", "neighbours", "assign", "catalog", "spectra")),
        *((rule, "parents") for rule in ("neighbours", "assign")),
        ("plot", "drawn"),
        ("summary", "drawn"),
    ],
)
def test_the_rows_that_a_rule_holds_cost_memory(rule, rows):
    few, many = (cost.job(rule, complete(**{"galaxies": 10**9, rows: n})) for n in (10**7, 10**8))
    assert many.memory_mb > few.memory_mb + 1000


@pytest.mark.parametrize("rule", ["lightcone", "neighbours", "catalog", "spectra"])
def test_a_job_is_bounded_by_its_shard_not_by_the_catalogue(rule):
    """The same number of galaxies in a shard needs the same, however many shards there are."""
    one, thousand = (cost.job(rule, complete(galaxies=10**5 * n, galaxy_shards=n)) for n in (1, 1000))
    assert one == thousand


def test_the_rows_that_a_rule_holds_in_blocks_cost_time_alone():
    few, many = (cost.job("parent", complete(parents=n)) for n in (10**7, 10**9))
    assert many.memory_mb == few.memory_mb
    assert many.minutes > few.minutes


def test_threads_share_the_memory_and_the_time():
    one, four = (cost.job("neighbours", complete(galaxies=10**8, threads=n)) for n in (1, 4))
    assert four.memory_mb == one.memory_mb
    one, four = (cost.seconds("neighbours", complete(galaxies=10**8, threads=n)) for n in (1, 4))
    assert four == pytest.approx(one / 4, rel=0.1)


def test_a_parent_that_fits_has_one_tree():
    assert [laws.tree_shards(DEFAULT, kind) for kind in KINDS] == [1, 1]
    assert cost.plan(DEFAULT)["tree"].jobs == 2
    small = complete(parents=10**8, quiescent=100)
    large = max(cost.job(rule, small).memory_mb for rule in ("tree", "neighbours")) / 1e3
    for max_memory_gb, shards in ((large + 0.01, 1), (large - 0.01, 2)):
        limited = complete(parents=10**8, quiescent=100, max_memory_gb=max_memory_gb)
        assert laws.tree_shards(limited, "star_forming") == shards
        assert laws.tree_shards(limited, "quiescent") == 1


@given(
    galaxies=st.integers(1, 10**6),
    parents=st.integers(100, 10**9),
    quiescent=st.integers(100, 10**9),
    max_memory_gb=st.floats(2.0, 100.0),
)
def test_trees_and_searches_keep_to_their_memory(galaxies, parents, quiescent, max_memory_gb):
    """Both trees are mapped if each is whole; of several, one at a time."""
    source = complete(galaxies=galaxies, parents=parents, quiescent=quiescent, max_memory_gb=max_memory_gb)
    shards, plan = {kind: laws.tree_shards(source, kind) for kind in KINDS}, cost.plan(source)
    both = 2 if set(shards.values()) == {1} else 1
    for rule, times in (("tree", 1), ("neighbours", both)):
        assert cost.job(rule, source).memory_mb <= times * 1000 * max_memory_gb + 1
    for kind, n in (("star_forming", parents), ("quiescent", quiescent)):
        assert n / shards[kind] >= 0.9e5 or shards[kind] == 1
    assert (plan["tree"].jobs, plan["neighbours"].jobs) == (sum(shards.values()), 1)


@pytest.mark.parametrize("parents", [1000, 10**9])
def test_too_little_memory_for_any_tree(parents):
    with pytest.raises(UserError, match=r"0\.7 is too little .* 1000000 galaxies of a job; expected at least") as error:
        laws.tree_shards(complete(parents=parents, max_memory_gb=0.7), "star_forming")
    expected = float(re.search(r"at least ([\d.]+)", str(error.value))[1])
    assert laws.tree_shards(complete(parents=parents, max_memory_gb=expected), "star_forming") >= 1
    with pytest.raises(UserError):
        laws.tree_shards(complete(parents=parents, max_memory_gb=expected - 0.2), "star_forming")


@pytest.mark.parametrize(
    ("section", "key", "value", "row_bytes", "row_disk"),
    [
        ("photometry", "filters", ["a", "b"], 2 * 12, 2 * 3.7),
        ("photometry", "rest_frame", ["a", "b", "c"], 3 * 12, 3 * 3.7),
        ("spectra", "lines", ["a"], 50, 29),
        ("spectra", "lines", "all", 166 * 50, 166 * 29),
        ("spectra", "ionising", True, 50, 8),
    ],
)
def test_columns_of_magnitudes_and_lines_cost(section, key, value, row_bytes, row_disk):
    none = complete(galaxies=10**8, galaxy_shards=1)
    none |= {"photometry": {"filters": [], "rest_frame": []}, "spectra": DEFAULT["spectra"] | {"lines": []}}
    some = none | {section: none[section] | {key: value}}
    memory = cost.job("catalog", some).memory_mb - cost.job("catalog", none).memory_mb
    assert memory == pytest.approx(1.25e8 / 2**20 * row_bytes, rel=0.01)
    assert cost.job("catalog", some).minutes > cost.job("catalog", none).minutes
    disk = cost.plan(some)["catalog"].disk_gb - cost.plan(none)["catalog"].disk_gb
    assert disk == pytest.approx(0.1 * row_disk)
    assert cost.job("assign", some) == cost.job("assign", none)


def test_observed_spectra_cost_by_their_bins():
    def of(**observed):
        wanted = dict.fromkeys(("preset", "file", "range", "step", "sampling", "resolution", "fwhm", "line_width"))
        return complete(galaxies=10**7) | {"spectra": DEFAULT["spectra"] | {"observed": wanted | observed}}

    assert "observed" not in cost.plan(complete())
    spherex, own = (cost.plan(of(preset="spherex", line_width=width))["observed"] for width in (None, 100))
    assert spherex.seconds == pytest.approx(1e7 * 40e-6, rel=0.02)  # measured: 39 us, lines of a width 23 us more
    assert own.seconds > spherex.seconds
    assert spherex.disk_gb == pytest.approx(0.01 * (8 + 102 * 5.1))
    assert cost.plan(of(preset="roman_grism"))["observed"].seconds > 1.5 * spherex.seconds


def test_an_unknown_rule_is_an_error():
    with pytest.raises(KeyError, match="no_rule"):
        cost.job("no_rule", DEFAULT)


@pytest.mark.parametrize("rule", ["lightcone", "neighbours", "assign", "catalog", "spectra"])
def test_a_realisation_costs_as_much_as_as_many_galaxies(rule):
    eight, more = complete(galaxies=10**6) | {"realisations": 8}, complete(galaxies=8 * 10**6)
    assert cost.job(rule, eight) == cost.job(rule, more)
    assert cost.plan(eight)[rule] == cost.plan(more)[rule]
    assert cost.job(rule, complete() | {"realisations": [5]}) == cost.job(rule, complete())


def test_realisations_share_the_parent_and_its_tree():
    one, eight = (cost.plan(complete() | {"realisations": n}) for n in (1, 8))
    assert one["parent"] == eight["parent"]
    assert one["tree"] == eight["tree"]
    assert all(one[rule].jobs == eight[rule].jobs for rule in one)
