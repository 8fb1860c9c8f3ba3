import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

from benchmarks import balance, sample, scale, search, speed, threads, timing
from benchmarks.memory import peak_memory
from benchmarks.report import Row, Section, Spread, number, render, spread
from benchmarks.timing import Contestant
from mocksed.files.storage import shard_bounds
from mocksed.galaxies.table import deal
from mocksed.run import configuration, laws
from mocksed.search import KINDS
from mocksed.search import balance as weights
from mocksed.sps.engine import Engine
from mocksed.sps.model import Model

FOUND = Spread(50.0, 40.0, 70.0)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("", FOUND, at_most=50.0), "met"),
        (Row("", FOUND, at_most=49.9), "MISSED"),
        (Row("", FOUND, at_least=50.0), "met"),
        (Row("", FOUND, at_least=50.1), "MISSED"),
        (Row("", None, at_least=50.0), "unknown"),
        (Row("", FOUND), ""),
    ],
)
def test_the_median_meets_the_target_or_not(row, verdict):
    assert row.verdict == verdict


def test_the_table_shows_what_is_missing_beside_what_was_found():
    rows = [Row("ours", FOUND, at_most=60.0), Row("theirs", None), Row("peak", Spread(7.0, 7.0, 7.0))]
    lines = render([Section("time [us]", rows)]).splitlines()
    assert lines[2] == "time [us]"
    assert lines[3].split() == ["ours", "50.0", "40.0", "-", "70.0", "<=", "60", "met"]
    assert lines[4].split() == ["theirs", "not", "installed"]
    assert lines[5].split() == ["peak", "7.00"]
    assert lines[3].index("50.0") + 4 == lines[4].index("not installed") + len("not installed")


@pytest.mark.parametrize(
    ("value", "text"),
    [(2e-5, "2.0e-05"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")],
)
def test_numbers_have_three_figures(value, text):
    assert number(value) == text


def test_a_spread_is_median_lowest_and_highest():
    assert spread(np.array([3.0, 1.0, 7.0])) == (3.0, 1.0, 7.0)


def test_contestants_take_turns(monkeypatch):
    turns, clock = [], iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    contestants = {"a": Contestant(lambda: turns.append("a"), 1), "b": Contestant(lambda: turns.append("b"), 4)}
    seconds = timing.interleaved(contestants, 3)
    assert turns == ["a", "b"] * 4
    np.testing.assert_array_equal(seconds["a"], [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(seconds["b"], [0.25, 0.25, 0.25])


def test_the_quickest_per_galaxy_wins(monkeypatch):
    took = {8: 8.0, 32: 16.0, 128: 256.0}
    monkeypatch.setattr(timing, "elapsed", lambda work: took[work()])
    candidates = {n: Contestant(lambda n=n: n, n) for n in took}
    assert timing.quickest(candidates) == candidates[32]


@pytest.mark.slow
def test_every_contestant_of_ours_runs(monkeypatch, engine):
    monkeypatch.setattr(speed, "N_SPECTRA", 8)
    monkeypatch.setattr(speed, "N_MAGNITUDES", 2)
    monkeypatch.setattr(speed, "N_DERIVED", 8)
    monkeypatch.setattr(speed, "CALL_SIZES", (1, 4))
    monkeypatch.setattr(speed, "N_CONE", 300)
    monkeypatch.setattr(speed, "N_PARENT", dict.fromkeys(KINDS, 2000))
    monkeypatch.setattr(weights, "N_GALAXIES", 32)
    free = Engine(engine.table, Model(dust_type="kriek_conroy"))
    seconds = timing.interleaved(speed.ours(engine, free) | speed.pipeline(free), 1)
    assert all(time > 0.0 for time in seconds.values())
    rows = [*speed.times(seconds).rows, *speed.ratios(seconds).rows]
    assert {row.name for row in rows if row.found is None} == {
        row.name for row in rows if "python-fsps" in row.name or "DSPS" in row.name
    }
    assert all(row.found is None for row in speed.differences(engine, have_fsps=False, have_dsps=False).rows)


@pytest.mark.slow
def test_memory_and_threads_work_with_the_same_galaxies(engine):
    assert set(threads.COUNTS) <= set(sample.WORK)
    for work in sample.WORK.values():
        work(engine, sample.galaxies(4))
    assert peak_memory() > 50.0


def test_a_table_is_dealt_out_as_stretches_of_itself():
    rows, shards = balance.stretched(96, 8), deal(0, 96, 8)
    for shard, (start, stop) in enumerate(shard_bounds(96, 8)):
        np.testing.assert_array_equal(rows[shards == shard], np.arange(start, stop))


def test_the_evenness_of_jobs_is_the_most_over_the_mean():
    line = balance.line("assign", [1.0, 2.0, 3.0], [4.0, 4.0, 4.0])
    assert line.split() == ["assign", "3", "2", "3", "1.50", "4", "4", "1.00"]


def test_widening_gives_up_where_few_points_are_young_enough():
    rng = np.random.default_rng(0)
    points, targets = (rng.normal(size=(n, 3)).astype(np.float32) for n in (5000, 100))
    age, limit = np.sort(rng.random(5000)), np.full(100, 0.5)
    limit[::10] = age[20]  # 21 of 5000: hardly among the 640 nearest
    unfinished = search.widening(cKDTree(points), points, age, targets, limit)
    assert unfinished[::10].sum() > 5
    assert not unfinished[1::10].any()


def test_the_cost_of_a_search_is_fitted_and_predicted():
    costs = {10**power: search.Cost(2.0 * 10 ** (0.25 * (power - 6)), 1.0) for power in (5, 6, 7)}
    section = search.law(costs)
    assert "fit 2.00 us (n / 1e6)^0.250" in section.title
    assert section.rows[-1].found.median == pytest.approx(1e8 * laws.search_us(1e8) * 1e-6 / 3600.0)


def test_a_session_counts_what_it_runs_and_stops_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "LOOK_S", 0.05)
    monkeypatch.setattr(scale.kernel, "seconds", lambda: 0.9)
    write = "import sys, time; open(sys.argv[1], 'wb').write(bytes(3000)); time.sleep(float(sys.argv[2]))"
    words = [sys.executable, "-c", write, str(tmp_path / "file")]
    whole = scale.session([*words, "0.5"], tmp_path, None)
    assert whole["finished"]
    assert (whole["peak_disk_bytes"], whole["reference_s"]) == (3000, 0.9)
    assert not scale.session([*words, "60"], tmp_path, minutes=0.3 / 60.0)["finished"]


def test_a_smaller_run_has_as_many_times_fewer_parents():
    source = {"run": "large", "galaxies": {"lightcone": {"n_galaxies": 1000, "log_mstar": [5.0, 12.5]}},
              "parent": {"star_forming": {"n": 4000}, "quiescent": {"n": 2000}}}  # fmt: skip
    config = configuration.load(scale.resized(source, 100))
    assert config["run"] == "large_1e2"
    assert config["galaxies"]["lightcone"]["n_galaxies"] == 100
    assert config["galaxies"]["lightcone"]["log_mstar"] == [5.0, 12.5]
    assert {kind: config["parent"][kind]["n"] for kind in KINDS} == {"star_forming": 400, "quiescent": 200}


def test_the_record_of_a_run_has_jobs_totals_and_plan(tmp_path):
    source = {"run": "mine", "galaxies": {"lightcone": {"n_galaxies": 1000}}}
    config = configuration.load(source)
    for shard in range(2):
        path = tmp_path / f"benchmarks/mine/catalog/{shard:04d}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("s\tmax_rss\tcpu_time\n20.0\t500\t1800\n")
    (tmp_path / "plan.txt").write_text("the plan\n")
    about = {"reference_s": 0.9, "wall_s": 1800, "cpu_s": 3600, "peak_disk_bytes": 2_000_000_000, "finished": True}
    text = scale.record("command", config, tmp_path, [about, about | {"peak_disk_bytes": 7}])
    assert "catalog          2    1e+03      3600" in text
    assert scale.measured(source, tmp_path, [about]) == {
        "config": source,
        "galaxies": 1000, "cpu_s": 3600, "wall_s": 1800, "reference_s": [0.9], "peak_disk_bytes": 2_000_000_000,
        "rules": {"catalog": {"jobs": 2, "cpu_s": 3600.0, "longest_s": 20.0, "memory_mb": 500}},
    }  # fmt: skip
    assert "all jobs: 1.00 core-hours, 2 jobs" in text
    assert "everything, Snakemake included: 2.00 core-hours, 1.00 hours of wall time" in text
    assert "disk: at most 2.0 GB" in text
    assert text.index("the plan") < text.index("catalog             2/4")
