"""Progress lines: in place on a terminal, now and then in a log, never a reason to fail."""

import io

import pytest

from vidtx.cli._progress import Progress, duration, megabytes


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_log_gets_a_line_every_half_minute(clock):
    stream = io.StringIO()
    with Progress("videos", stream=stream, clock=clock) as progress:
        for second in range(71):
            clock.now = 100.0 + second
            progress.update(50 + 2 * second, 1050, "3 dropped", before=50)
    assert stream.getvalue().splitlines() == [
        "110 of 1,050 videos  2.0 videos/s  0:07:50 left  3 dropped",
        "170 of 1,050 videos  2.0 videos/s  0:07:20 left  3 dropped",
    ]


def test_a_terminal_has_one_line_that_ends_as_it_should(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    with Progress("records", stream=stream, clock=clock) as progress:
        for done in (0, 40, 80, 100):
            progress.update(done, 100, "x" * 99)
            clock.now += 0.15
    drawn = stream.getvalue()
    assert drawn.count("\n") == 1
    lines = drawn.rstrip("\n").split("\r")[1:]
    assert all(line.endswith("\x1b[K") and len(line) == 49 + 3 for line in lines)
    assert lines[-1].startswith("100 of 100 records  ")
    assert len(lines) == 2  # the second came too soon after the first


def test_a_stream_that_is_closed_ends_nothing(clock):
    stream = io.StringIO()
    with Progress("videos", stream=stream, clock=clock) as progress:
        stream.close()
        clock.now += 100
        progress.update(1, 2)
        clock.now += 100
        progress.update(2, 2)


def test_lengths_and_sizes_are_readable():
    assert duration(3725.4) == "1:02:05"
    assert duration(100 * 3600) == "100:00:00"
    assert megabytes(1_234_567) == "1.2 MB"
    assert megabytes(146_000_000_000) == "146.0 GB"
