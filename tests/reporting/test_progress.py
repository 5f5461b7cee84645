import contextlib
import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios
import threading

import pytest

from vidtx.reporting import Progress


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


def _update(progress, step, **changes):
    values = {"loss": 1.2341, "accuracy": 0.512, "clips_per_second": 412.3, "input_wait": 0.031}
    progress.update(step, **values | changes)


@pytest.fixture
def terminal(monkeypatch):
    """Returns a function that opens a real terminal of some width, and reads what it got."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    opened = []

    def open_terminal(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        reader, writer = os.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        stream = open(writer, "w", encoding="utf-8")  # noqa: SIM115 (closed below)
        got = []
        # A thread: a terminal that nobody reads from blocks its writer.
        thread = threading.Thread(target=_drain, args=(reader, got))
        thread.start()

        def read():
            stream.close()
            thread.join()
            return b"".join(got).decode()

        opened.append((reader, read))
        return stream, read

    yield open_terminal
    for reader, read in opened:
        read()
        os.close(reader)


def _drain(reader, got):
    with contextlib.suppress(OSError):  # EIO: the other side was closed
        while data := os.read(reader, 4096):
            got.append(data)


def test_a_redirected_run_gets_one_plain_line_per_update():
    stream, clock = io.StringIO(), Clock()
    with Progress(1200, start_step=100, stream=stream, clock=clock) as progress:
        clock.now = 10.0
        _update(progress, 110)
        clock.now = 11.0
        _update(progress, 120, accuracy=None, loss=float("nan"), clips_per_second=3.14)
        progress.note("checkpoint [120] saved")
    assert stream.getvalue().splitlines() == [
        "step   110/1200  loss 1.234  accuracy 0.512  412 clips/s  input wait 3 %  0:18:10 left",
        "step   120/1200  loss nan  3.1 clips/s  input wait 3 %  0:01:48 left",
        "checkpoint [120] saved",
    ]


def test_time_left_counts_the_steps_of_this_process_after_the_first_update():
    clock = Clock()
    progress = Progress(1000, start_step=500, stream=io.StringIO(), clock=clock)
    assert progress.seconds_left() is None
    # A minute of compilation: all there is to go by at first, and forgotten afterwards.
    clock.now = 60.0
    _update(progress, 510)
    assert progress.seconds_left() == pytest.approx(60 / 10 * 490)
    clock.now = 70.0
    _update(progress, 520)
    assert progress.seconds_left() == pytest.approx(10 / 10 * 480)
    assert progress.summary() == "20 steps in 0:01:10 (resumed at 500)"


def test_no_time_left_before_a_step_was_done():
    stream = io.StringIO()
    _update(Progress(10, start_step=5, stream=stream), 5)
    assert stream.getvalue().endswith("- left\n")


@pytest.mark.parametrize("columns", [50, 80, 90, 140])
def test_a_terminal_gets_a_bar_with_step_and_time_at_any_width(terminal, columns):
    stream, read = terminal(columns)
    clock = Clock()
    with Progress(1200, start_step=0, stream=stream, clock=clock) as progress:
        for step in (100, 600, 1200):
            clock.now += 60
            _update(progress, step)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", read())
    assert "600/1200" in text
    assert "0:01:12 left" in text  # 600 steps to go, at 500 a minute
    figures = "loss 1.234  accuracy 0.512  412 clips/s  input wait 3 %"
    assert all(word in text for word in figures.split())
    assert columns < 80 or figures in text
    assert all(len(line) <= columns for line in re.split(r"[\r\n]+", text))


def test_a_note_stands_above_the_bar_and_the_cursor_comes_back(terminal):
    stream, read = terminal(100)
    with Progress(10, start_step=0, stream=stream) as progress:
        _update(progress, 5)
        progress.note("evaluated [step 5]")
    text = read()
    after_note = text.split("evaluated [step 5]")[1]
    assert "5/10" in after_note
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_dumb_terminal_gets_plain_lines(terminal, monkeypatch):
    stream, read = terminal(100)
    monkeypatch.setenv("TERM", "dumb")
    with Progress(10, start_step=0, stream=stream) as progress:
        _update(progress, 5)
    text = read()
    assert text.startswith("step   5/10  loss 1.234")
    assert "\x1b" not in text


def test_a_log_file_gets_no_bar_even_when_colours_are_forced(tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with open(tmp_path / "log.txt", "w", encoding="ascii") as stream:
        with Progress(10, start_step=0, stream=stream) as progress:
            progress.note("8²")
            _update(progress, 5)
        # Not only when the file is closed.
        assert (tmp_path / "log.txt").read_text().startswith("8?\nstep   5/10")


def test_a_closed_stream_is_no_reason_to_stop():
    stream = io.StringIO()
    with Progress(10, start_step=0, stream=stream) as progress:
        stream.close()
        _update(progress, 5)
        progress.note("still here")
        _update(progress, 10)


@pytest.mark.parametrize("shell", ["| head -n 1", ">&-", "> /dev/full"])
def test_a_process_survives_the_loss_of_its_standard_output(shell):
    code = (
        "import sys, time\n"
        "from vidtx.reporting import Progress\n"
        "with Progress(40, start_step=0) as progress:\n"
        "    for step in range(40):\n"
        "        progress.update(step, loss=1.0, clips_per_second=9.0, input_wait=0.0)\n"
        "        time.sleep(0.005)\n"
        "sys.stderr.write(f'finished {step}')\n"
    )
    command = f'set -o pipefail; "$0" -c "$1" {shell}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, code], capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("finished 39")
    assert done.returncode == 0


@pytest.mark.parametrize("start", [-1, 11])
def test_impossible_start_steps_are_refused(start):
    with pytest.raises(ValueError, match="start_step"):
        Progress(10, start_step=start)
