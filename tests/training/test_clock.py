import pytest

from vidtx.training.clock import Clock


class Time:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def time():
    return Time()


def test_only_a_wait_that_leaves_the_devices_without_work_counts(time):
    clock = Clock(time)
    for idle, seconds in ((True, 1), (False, 4), (True, 2)):
        with clock.waiting(idle=lambda idle=idle: idle):
            time.seconds += seconds
    time.seconds += 5
    assert clock.lap(clips=24) == {"clips_per_second": 2.0, "input_wait": 0.25}


def test_a_lap_starts_anew_and_a_pause_does_not_count(time):
    clock = Clock(time)
    with clock.waiting(idle=lambda: True):
        time.seconds += 1
    clock.lap(1)
    with clock.paused():
        time.seconds += 1000
    time.seconds += 2
    assert clock.lap(3) == {"clips_per_second": 1.5, "input_wait": 0.0}
