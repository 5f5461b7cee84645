import time

from vidtx.training.clock import Clock


def test_only_a_wait_that_leaves_the_devices_without_work_counts():
    clock = Clock()
    for idle in (True, False, False):
        with clock.waiting(idle=lambda idle=idle: idle):
            time.sleep(0.05)
    figures = clock.lap(clips=30)
    # A third of the time, however long sleeping really takes.
    assert 0.1 < figures["input_wait"] < 0.6
    assert 0 < figures["clips_per_second"] <= 30 / 0.15


def test_a_lap_starts_anew_and_a_pause_does_not_count():
    clock = Clock()
    with clock.waiting(idle=lambda: True):
        time.sleep(0.02)
    clock.lap(1)
    with clock.paused():
        time.sleep(0.3)
    assert clock.lap(3)["input_wait"] == 0
    with clock.paused():
        time.sleep(0.3)
    time.sleep(0.01)
    assert clock.lap(3)["clips_per_second"] > 3 / 0.3
