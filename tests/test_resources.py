import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocksed import config, resources
from mocksed.errors import UserError

ROOT = Path(__file__).parents[1]
SMK = [path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
RULES = sorted({name for text in SMK for name in re.findall(r"^\s*rule (\w+):", text, re.MULTILINE)})
DEFAULT = config.load({"run": "test"}, ROOT / "workflow" / "schemas" / "config.schema.yaml")


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


def test_every_rule_asks_for_the_resources_of_its_name():
    assert {"parent", "tree", "neighbours", "catalog", "spectra", "lightcone", "summary"} <= set(RULES)
    for text in SMK:
        names = re.findall(r"^\s*rule (\w+):", text, re.MULTILINE)
        assert re.findall(r'resources_of\("(\w+)"\)', text) == names


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_positive_needs(rule):
    for source in (DEFAULT, complete(), complete(galaxies=1, galaxy_shards=9999, parents=100, parent_shards=9999)):
        need = resources.job(rule, source)
        assert all(type(value) is int for value in need)
        assert need.memory_mb >= 256
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
        resources.job(rule, complete(**values))
        for values in (rows, {name: factor * value for name, value in rows.items()})
    )
    split = resources.job(rule, complete(**rows, galaxy_shards=shards, parent_shards=shards))
    assert many.memory_mb >= few.memory_mb >= split.memory_mb
    assert many.minutes >= few.minutes >= split.minutes


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        *((rule, "galaxies") for rule in ("lightcone", "neighbours", "assign", "quiescent", "catalog", "spectra")),
        *((rule, "parents") for rule in ("neighbours", "assign")),
        ("plot", "drawn"),
        ("summary", "drawn"),
    ],
)
def test_the_rows_that_a_rule_holds_cost_memory(rule, rows):
    few, many = (resources.job(rule, complete(**{"galaxies": 10**9, rows: n})) for n in (10**7, 10**8))
    assert many.memory_mb > few.memory_mb + 1000


@pytest.mark.parametrize("rule", ["lightcone", "neighbours", "quiescent", "catalog", "spectra"])
def test_a_job_is_bounded_by_its_shard_not_by_the_catalogue(rule):
    """The same number of galaxies in a shard needs the same, however many shards there are."""
    one, thousand = (resources.job(rule, complete(galaxies=10**5 * n, galaxy_shards=n)) for n in (1, 1000))
    assert one == thousand


def test_the_rows_that_a_rule_holds_in_blocks_cost_time_alone():
    few, many = (resources.job("parent", complete(parents=n)) for n in (10**7, 10**9))
    assert many.memory_mb == few.memory_mb
    assert many.minutes > few.minutes


def test_threads_share_the_memory_and_the_time():
    one, four = (resources.job("neighbours", complete(galaxies=10**8, threads=n)) for n in (1, 4))
    assert four.memory_mb == one.memory_mb
    assert four.minutes - 5 < (one.minutes - 5) / 3  # 5: requested in any case


def test_a_parent_that_fits_has_one_tree():
    assert resources.tree_shards(DEFAULT) == 1
    assert "merge" not in resources.plan(DEFAULT)
    large = max(resources.job(rule, complete(parents=10**8)).memory_mb for rule in ("tree", "neighbours")) / 1e3
    assert resources.tree_shards(complete(parents=10**8, max_memory_gb=large + 0.01)) == 1
    assert resources.tree_shards(complete(parents=10**8, max_memory_gb=large - 0.01)) == 2


@given(
    galaxies=st.integers(1, 10**6),
    parents=st.integers(100, 10**9),
    max_memory_gb=st.floats(2.0, 100.0),
)
def test_trees_and_searches_keep_to_their_memory(galaxies, parents, max_memory_gb):
    source = complete(galaxies=galaxies, parents=parents, max_memory_gb=max_memory_gb)
    for rule in ("tree", "neighbours"):
        assert resources.job(rule, source).memory_mb <= 1000 * max_memory_gb + 1
    shards, plan = resources.tree_shards(source), resources.plan(source)
    assert parents / shards >= 0.9e5 or shards == 1
    assert (plan["tree"].jobs, plan["neighbours"].jobs) == (shards, shards)
    assert ("merge" in plan) == (shards > 1)


@pytest.mark.parametrize("parents", [1000, 10**9])
def test_too_little_memory_for_any_tree(parents):
    with pytest.raises(UserError, match=r"0\.7 is too little .* 1000000 galaxies of a job; expected at least 1\.\d"):
        resources.tree_shards(complete(parents=parents, max_memory_gb=0.7))
    expected = 1.5
    assert resources.tree_shards(complete(parents=parents, max_memory_gb=expected)) >= 1


def test_galaxies_expected():
    assert resources.galaxies(complete(galaxies=1234)) == 1234
    assert resources.galaxies(complete(galaxies=None)) == 1_000_000
    table = complete(galaxies=1234)
    table["galaxies"] |= {"source": "table"}
    assert resources.galaxies(table) == 1_000_000


@pytest.mark.parametrize(
    ("section", "key", "value", "columns"),
    [
        ("photometry", "filters", ["a", "b"], 2),
        ("photometry", "rest_frame", ["a", "b", "c"], 3),
        ("spectra", "lines", ["a"], 1),
        ("spectra", "lines", "all", 166),
    ],
)
def test_columns_of_magnitudes_and_lines_cost(section, key, value, columns):
    none = complete(galaxies=10**8, galaxy_shards=1)
    none |= {"photometry": {"filters": [], "rest_frame": []}, "spectra": DEFAULT["spectra"] | {"lines": []}}
    some = none | {section: none[section] | {key: value}}
    assert resources.job("catalog", some).memory_mb - resources.job("catalog", none).memory_mb == 1200 * columns
    assert resources.job("catalog", some).minutes > resources.job("catalog", none).minutes
    disk = resources.plan(some)["catalog"].disk_gb - resources.plan(none)["catalog"].disk_gb
    assert disk == pytest.approx(0.4 * columns)
    assert resources.job("assign", some) == resources.job("assign", none)


def test_an_unknown_rule_is_an_error():
    with pytest.raises(KeyError, match="no_rule"):
        resources.job("no_rule", DEFAULT)


@pytest.mark.parametrize("rule", ["lightcone", "neighbours", "assign", "quiescent", "catalog", "spectra"])
def test_a_realisation_costs_as_much_as_as_many_galaxies(rule):
    eight, more = complete(galaxies=10**6) | {"realisations": 8}, complete(galaxies=8 * 10**6)
    assert resources.job(rule, eight) == resources.job(rule, more)
    assert resources.plan(eight)[rule] == resources.plan(more)[rule]
    assert resources.job(rule, complete() | {"realisations": [5]}) == resources.job(rule, complete())


def test_realisations_share_the_parent_and_its_tree():
    one, eight = (resources.plan(complete() | {"realisations": n}) for n in (1, 8))
    assert one["parent"] == eight["parent"]
    assert one["tree"] == eight["tree"]
    assert all(one[rule].jobs == eight[rule].jobs for rule in one)
