"""A second signal ends a command at once; one that comes twice within a second is one."""

import signal
import subprocess
import sys

from tests.tiny_run import environment

PROGRAM = """
import time
from vidtx.cli._signals import StopSignal
with StopSignal("stopping.", "Go on.") as stop:
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""


def test_the_second_signal_ends_it_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stderr.readline() == "\n"
    assert process.stderr.readline() == "SIGTERM: stopping. Once more stops at once.\n"
    process.send_signal(signal.SIGTERM)  # as a scheduler's that is passed on
    try:
        process.wait(1.5)
        raise AssertionError("it ended at what was the same signal")
    except subprocess.TimeoutExpired:
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 4
    assert process.stderr.read() == ""
