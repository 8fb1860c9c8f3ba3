import subprocess
import time

from tests import processes


def test_a_process_that_was_left_is_found_though_its_parent_has_ended(monkeypatch):
    monkeypatch.setenv(processes._NAME, "")  # restored at the end
    mark = processes.mark()
    subprocess.run(["sh", "-c", "sleep 60 > /dev/null 2>&1 &"], check=True)
    sleeping, until = [], time.monotonic() + 30.0
    while not sleeping and time.monotonic() < until:  # the shell may end before its child has become `sleep`
        sleeping = [process for process in processes.left(mark, 0.1) if process.cmdline() == ["sleep", "60"]]
    (found,) = sleeping
    found.kill()
    assert found not in processes.left(mark)
