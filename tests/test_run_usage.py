import pytest

from mocksed.errors import UserError
from mocksed.run import jobs, usage

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(folder, rule, shard, seconds, memory_mb, cpu_seconds, said=""):
    path = folder / "benchmarks" / "mine" / rule / f"{shard}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t{memory_mb}\t2.0\t3.0\t4.0\t5.0\t6.0\t7.0\t{cpu_seconds}\n")
    log = folder / "logs" / "mine" / rule / f"{shard}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"2026-01-01 00:00:00 galaxies: 5 of 5\n{said}")


def test_jobs_by_rule(tmp_path):
    benchmark(tmp_path, "assign", "0000", 12.0, 500.0, 10.0)
    benchmark(tmp_path, "assign", "0001", 13.0, 501.0, 11.0)
    benchmark(tmp_path, "tree", "0000", 1.0, 50.0, 0.5)
    assert usage.of_run("mine", tmp_path) == {
        "assign": [usage.Usage(12.0, 10.0, 500.0), usage.Usage(13.0, 11.0, 501.0)],
        "tree": [usage.Usage(1.0, 0.5, 50.0)],
    }


def test_what_a_job_says_of_itself_wins_where_it_is_more(tmp_path):
    said = "done in 11.9 s, 11.5 s of CPU time, at most 640 MB of memory\n"
    benchmark(tmp_path, "assign", "0000", 12.0, 500.0, 10.0, said)
    benchmark(tmp_path, "assign", "0001", 12.0, 700.0, 12.0, said)
    assert usage.of_run("mine", tmp_path)["assign"] == [
        usage.Usage(12.0, 11.5, 640.0),
        usage.Usage(12.0, 12.0, 700.0),
    ]


def test_a_log_is_read_as_jobs_write_it(tmp_path):
    benchmark(tmp_path, "assign", "0000", "0.1", "NA", "NA")
    with jobs.job(tmp_path / "logs/mine/assign/0000.log"):
        held = bytearray(100 << 20)
        held[:] = b"x" * len(held)
    (job,) = usage.of_run("mine", tmp_path)["assign"]
    assert 100 < job.memory_mb < 10_000
    assert job.cpu_seconds > 0.0


def test_ranks_of_a_job_count_together(tmp_path):
    done = "00:00:00 rank {}: done in 11.9 s, {} s of CPU time, at most {} MB of memory\n"
    benchmark(tmp_path, "parent", "all", 12.0, 60.0, 0.5, done.format(1, 11.5, 300) + done.format(0, 11.0, 310))
    assert usage.of_run("mine", tmp_path)["parent"] == [usage.Usage(12.0, 22.5, 610.0)]


def test_the_last_of_several_attempts_counts(tmp_path):
    benchmark(tmp_path, "assign", "0000", 12.0, 500.0, 10.0)
    path = tmp_path / "benchmarks/mine/assign/0000.tsv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1].replace("500.0", "600.0"))
    assert usage.of_run("mine", tmp_path)["assign"] == [usage.Usage(12.0, 10.0, 600.0)]


def test_a_run_without_benchmark_files(tmp_path):
    with pytest.raises(UserError, match=r"no benchmark files of a run 'mine' .* there are those of no run"):
        usage.of_run("mine", tmp_path)
    benchmark(tmp_path, "assign", "0000", 12.0, 500.0, 10.0)
    with pytest.raises(UserError, match=r"no benchmark files of a run 'min' .* there are those of mine"):
        usage.of_run("min", tmp_path)


@pytest.mark.parametrize("content", ["", HEAD, "s\tmax_rss\n1.0\t2.0\n", f"{HEAD}x\t0\t1\t2\t3\t4\t5\t6\t7\t8\n"])
def test_a_damaged_benchmark_file_is_named(tmp_path, content):
    benchmark(tmp_path, "assign", "0000", 12.0, 500.0, 10.0)
    (tmp_path / "benchmarks/mine/assign/0000.tsv").write_text(content)
    with pytest.raises(UserError, match=r"cannot read the benchmark file .*assign/0000\.tsv"):
        usage.of_run("mine", tmp_path)
