import logging
import re
import subprocess
import sys
import time

import numba
import pytest
from threadpoolctl import threadpool_info

from mocksed.errors import UserError
from mocksed.progress import log, progress
from mocksed.run import jobs


@pytest.fixture(autouse=True)
def restored():
    """A job is a process of its own: undo what it leaves behind."""
    threads, handlers = numba.get_num_threads(), log.handlers
    yield
    numba.set_num_threads(threads)
    for handler in log.handlers:
        if handler not in handlers:
            handler.close()
    log.handlers = handlers


@pytest.fixture
def log_path(tmp_path):
    return tmp_path / "logs" / "job.log"


def run(log_path, exception):
    with jobs.job(log_path):
        raise exception


def test_a_user_error_is_one_message_and_exit_code_1(log_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(log_path, UserError("galaxies.csv, column 'mass': row 3 is negative."))
    assert stopped.value.code == 1
    for text in (log_path.read_text(), capsys.readouterr().err):
        lines = text.splitlines()
        assert len(lines) == 1
        assert lines[0].endswith(" error: galaxies.csv, column 'mass': row 3 is negative.")


@pytest.mark.slow
def test_so_it_is_in_a_process_of_its_own(log_path):
    script = (
        "import sys; from mocksed.run.jobs import job; from mocksed.errors import UserError\n"
        "with job(sys.argv[1]):\n    raise UserError('the disk is full')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, log_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(" error: the disk is full\n")
    assert "Traceback" not in done.stderr
    assert log_path.read_text() == done.stderr


def test_an_unexpected_error_keeps_its_traceback(log_path, capsys):
    with pytest.raises(ZeroDivisionError):
        run(log_path, ZeroDivisionError("of something"))
    for text in (log_path.read_text(), capsys.readouterr().err):
        assert "unexpected error" in text
        assert "Traceback (most recent call last)" in text
        assert "ZeroDivisionError: of something" in text
        assert "done in" not in text


def test_a_job_that_ends_well_says_how_long_it_took(log_path, capsys):
    with jobs.job(log_path):
        log.info("half way")
    text = log_path.read_text()
    used = r"\d+\.\d s of CPU time, at most \d+ MB of memory"
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d half way\n.* done in \d+\.\d s, {used}\n", text)
    assert capsys.readouterr().err == text


def test_a_second_run_begins_its_log_anew(log_path):
    for words in ("first", "second"):
        with jobs.job(log_path):
            log.info(words)
    assert "first" not in log_path.read_text()
    assert log_path.read_text().count("second") == 1


def test_without_a_log_file_on_standard_error_only(capsys):
    with jobs.job():
        log.info("here")
    assert " here\n" in capsys.readouterr().err


@pytest.mark.parametrize("threads", [1, 2])
def test_a_job_keeps_to_its_threads(threads):
    with jobs.job(threads=threads):
        assert numba.get_num_threads() == min(threads, numba.config.NUMBA_NUM_THREADS)
        pools = threadpool_info()
        assert pools
        assert all(pool["num_threads"] <= threads for pool in pools)


def progress_lines(caplog, amounts, total=100):
    caplog.set_level(logging.INFO, "mocksed")
    with progress(total, "galaxies", "spectra") as bar:
        for amount in amounts:
            bar.update(amount)
    return [record.getMessage() for record in caplog.records]


def test_quick_work_is_one_line(caplog):
    (line,) = progress_lines(caplog, [40, 60])
    assert re.fullmatch(r"spectra: 100 of 100 galaxies, \S+ galaxies/s", line)


def test_long_work_says_how_far_it_is_every_ten_seconds(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def amounts():
        for _ in range(10):
            now[0] += 4.0
            yield 10

    lines = progress_lines(caplog, amounts())
    assert lines == [
        "spectra: 30 of 100 galaxies, 2.5 galaxies/s, 28 s left",
        "spectra: 60 of 100 galaxies, 2.5 galaxies/s, 16 s left",
        "spectra: 90 of 100 galaxies, 2.5 galaxies/s, 4 s left",
        "spectra: 100 of 100 galaxies, 2.5 galaxies/s",
    ]


def test_no_time_left_is_promised_before_anything_is_done(caplog, monkeypatch):
    now = iter([0.0, 0.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    assert progress_lines(caplog, [0])[0] == "spectra: 0 of 100 galaxies, 0 galaxies/s"


def test_the_rate_and_the_time_left(caplog, monkeypatch):
    now = iter([0.0, 0.0, 20.0, 20.0, 40.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    lines = progress_lines(caplog, [25])
    assert lines[0] == "spectra: 25 of 100 galaxies, 1.25 galaxies/s, 60 s left"


def test_work_that_fails_claims_nothing(caplog):
    caplog.set_level(logging.INFO, "mocksed")
    with pytest.raises(RuntimeError), progress(10, "points", "parent"):
        raise RuntimeError
    assert caplog.records == []
