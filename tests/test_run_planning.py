import re

import pytest

from mocksed.errors import UserError
from mocksed.run import configuration, cost, laws, planning, usage


@pytest.fixture(scope="module")
def loaded(root):
    return configuration.load({"run": "mine", "galaxies": {"lightcone": {"n_galaxies": 200_000}}})


def as_planned(loaded, memory=1.5, time=1.0):
    """Jobs for which requested and expected are so many times what was measured."""
    return {
        rule: [
            usage.Usage(
                seconds=1.0,
                cpu_seconds=3600.0 * need.core_hours / need.jobs / time,
                memory_mb=need.memory_mb / memory - laws.SNAKEMAKE_MB,
            )
        ]
        * need.jobs
        for rule, need in cost.plan(loaded).items()
    }


def lines_of(text):
    return {line.split()[0]: line for line in text.splitlines()[2:] if re.match(r"\w+ +\d+/\d+ ", line)}


def test_the_sums_are_those_of_the_rules(loaded):
    lines = planning.table(loaded).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if re.match(r"\w+ +\d+ .* GB .* GB$", line)}
    assert list(rows) == [*cost.plan(loaded), "all"]
    total = rows.pop("all")
    for column, tolerance in ((0, 0), (4, 0.1), (5, 0.5)):
        assert float(total[column]) == pytest.approx(sum(float(row[column]) for row in rows.values()), abs=tolerance)
    for column in (1, 3):
        assert float(total[column]) == max(float(row[column]) for row in rows.values())


def test_the_assumptions_are_printed(loaded):
    text = planning.table(loaded | {"realisations": 8})
    assert text.startswith("2e+05 galaxies (as the config says) in 8 realisations, 1e+06 star-forming and 2e+05 ")
    assert "galaxies.shards 4, parent.shards 4, tree shards 2\n" in text
    assert "Not counted: Snakemake's start of each job on a cluster" in text
    export = cost.need("export", 1, loaded | {"realisations": 8})
    assert f"(export: {export.memory_mb / 1e3:.1f} GB, {export.seconds / 60:.1f} minutes)" in text


def test_the_disk_is_told_with_and_without_what_passes(loaded):
    kept, of_a_shard = cost.disk(loaded, cost.plan(loaded))
    text = planning.table(loaded)
    assert f"Disk: {kept:.1f} GB once it is done, while it runs {of_a_shard:.2f} GB more for each job at a time" in text


def test_times_are_scaled_by_the_kernel_and_both_are_told(loaded):
    def of(text):
        return {line.split()[0]: line.split() for line in text.splitlines() if re.match(r"\w+ +\d+ .* GB$", line)}

    measured, slow = planning.table(loaded), planning.table(loaded, 3.0 * laws.REFERENCE_S)
    for rule, words in of(measured).items():
        there, here = words, of(slow)[rule]
        assert float(here[4]) == pytest.approx(3.0 * float(there[4]), abs=0.2)
        assert float(here[5]) == pytest.approx(3.0 * float(there[5]), abs=0.02)
        assert (here[:4], here[6:]) == (there[:4], there[6:])
    hours = of(measured)["all"][5]
    assert f"kernel takes {3.0 * laws.REFERENCE_S:.2f} s, 3.00 times as long" in slow
    assert f"all jobs would take {hours} core-hours (--as-measured)" in slow
    assert f"(reference kernel: {laws.REFERENCE_S:.2f} s)" in measured
    assert re.search(r"Snakemake's start of each job on a cluster \(21 s", slow)


def test_a_narrow_window_of_wavelengths_takes_less_disk(loaded):
    def disk(wavelength):
        lines = planning.table(loaded | {"spectra": loaded["spectra"] | {"wavelength": wavelength}}).splitlines()
        return float(next(line for line in lines if line.startswith("spectra")).split()[-2])

    assert disk([91.2, 1e8]) > 1.0
    assert disk([4000.0, 5000.0]) <= 0.1


def test_a_run_as_planned_has_no_marks(loaded):
    lines = lines_of(planning.comparison(loaded, as_planned(loaded)))
    assert list(lines) == list(cost.plan(loaded))
    for rule, need in cost.plan(loaded).items():
        words = lines[rule].split()
        assert words[1] == f"{need.jobs}/{need.jobs}"
        assert int(words[2]) == need.memory_mb
        assert float(words[4]) == pytest.approx(1.5, abs=0.01)
        assert float(words[7]) == pytest.approx(1.0, abs=0.01)
        assert "<-" not in lines[rule]


@pytest.mark.parametrize(
    ("memory", "time", "marked"),
    [
        *((1.05, 1.0, "memory"), (2.1, 1.0, "memory"), (1.5, 0.4, "time"), (1.5, 2.5, "time")),
        (1.0, 3.0, "memory and time"),
    ],
)
def test_what_is_outside_the_limits_is_marked(loaded, memory, time, marked):
    jobs = as_planned(loaded) | {"assign": as_planned(loaded, memory, time)["assign"]}
    lines = lines_of(planning.comparison(loaded, jobs))
    assert lines["assign"].endswith(f"<- {marked}")
    assert not any("<-" in line for rule, line in lines.items() if rule != "assign")


def test_the_largest_memory_counts_and_the_mean_time(loaded):
    jobs = as_planned(loaded)
    small, large = jobs["assign"][0]._replace(cpu_seconds=2.0), jobs["assign"][0]._replace(cpu_seconds=4.0)
    found = {"assign": [large._replace(memory_mb=500.0), small._replace(memory_mb=100.0)]}
    words = lines_of(planning.comparison(loaded, found))["assign"].split()
    assert words[1] == "2/4"
    assert float(words[3]) == 500 + laws.SNAKEMAKE_MB
    assert float(words[6]) == 3.0


def test_exports_that_were_made_are_compared(loaded):
    need = cost.need("export", 1, loaded)
    spent = usage.Usage(1.0, need.seconds, need.memory_mb / 1.5 - laws.SNAKEMAKE_MB)
    lines = lines_of(planning.comparison(loaded, as_planned(loaded) | {"export": [spent] * 2}))
    assert lines["export"].split()[1] == "2/2"
    assert float(lines["export"].split()[7]) == pytest.approx(1.0, abs=0.01)


def test_rules_that_have_not_run_are_said(loaded):
    jobs = {rule: found for rule, found in as_planned(loaded).items() if rule != "tree"}
    assert re.search(r"^tree +0/2 +has no benchmark files$", planning.comparison(loaded, jobs), re.MULTILINE)


def test_the_config_of_a_run_is_the_one_that_names_it(tmp_path):
    for name, run in (("a", "one"), ("b", "two"), ("c", "two")):
        (tmp_path / f"{name}.yaml").write_text(f"run: {run}\n")
    assert planning.config_of("one", tmp_path) == tmp_path / "a.yaml"
    with pytest.raises(UserError, match=r"b\.yaml and .*c\.yaml have that name\. Name it with --configfile"):
        planning.config_of("two", tmp_path)
    with pytest.raises(UserError, match=r"'three'\? no config in .* has that name\. Name it"):
        planning.config_of("three", tmp_path)
    (tmp_path / "d.yaml").write_text("run: four\nrun: one\n")
    with pytest.raises(UserError, match=r"d\.yaml as YAML: line 2: the key run is given twice"):
        planning.config_of("one", tmp_path)
