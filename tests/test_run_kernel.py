import time

import pytest

from mocksed.run import kernel


def test_the_kernel_is_timed_by_what_its_process_spends(monkeypatch):
    """Waiting does not count, and setting up does not."""
    ticks = iter([100.0, 103.5])
    monkeypatch.setattr(kernel, "ROUNDS", 1)
    monkeypatch.setattr(time, "process_time", lambda: next(ticks))
    assert kernel.seconds() == 3.5


@pytest.mark.slow
def test_three_times_the_rounds_take_three_times_as_long(monkeypatch):
    few, found = kernel.ROUNDS // 10, {}
    for times in (1, 3):
        monkeypatch.setattr(kernel, "ROUNDS", times * few)
        found[times] = min(kernel.seconds() for _ in range(3))
    assert found[3] == pytest.approx(3.0 * found[1], rel=0.4)
    assert 0.01 < found[1] < 2.0  # a tenth of about a second
