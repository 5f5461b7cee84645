"""``python -m tests.sharding.agreeing RESULT PORT INDEX``: one of two that need no devices."""

import json
import pathlib
import signal
import sys
import threading
import time

from vidtx.errors import ConfigError, DataQualityError, VidtxError
from vidtx.sharding import job, processes
from vidtx.training import StopSignal


def refused(function):
    """The error that a function raises: its class, its message, whether all processes raise it."""
    try:
        function()
    except VidtxError as error:
        return [type(error).__name__, str(error), error.together]
    return None


def failing(index, error):
    """A function that raises on one process, and returns its number on the other."""

    def run():
        if processes.index() == index:
            raise error
        return processes.index()

    return run


def stopped_at(index):
    """How far this process comes when one of the two is asked to stop, each at its own pace."""
    with StopSignal() as stop:
        for point in range(1, 10_000):
            if stop.reached():
                return [point, stop.received]
            if point == 20 + 20 * index and index == 1:
                signal.raise_signal(signal.SIGTERM)
            time.sleep(0.002 + 0.003 * index)
    return None


def main():
    result, port, index = sys.argv[1], sys.argv[2], int(sys.argv[3])
    job.join(f"localhost:{port}", 2, index, timeout=60, heartbeat_timeout=60)
    found = {
        "index": [processes.index(), processes.count(), processes.is_lead()],
        "exchanged": processes.exchange(f"from {index}"),
        "on_lead": processes.on_lead(lambda: {"by": index, "found": [1, None]}),
        "refused_by_lead": refused(lambda: processes.on_lead(failing(0, ConfigError("no")))),
        "agreed": processes.agree(lambda: index),
        "refused_by_one": refused(lambda: processes.agree(failing(1, DataQualityError("bad")))),
        # What all have raised already goes through what is around it.
        "nested": refused(
            lambda: processes.agree(lambda: processes.on_lead(failing(0, ConfigError("no"))))
        ),
        "same": refused(lambda: processes.check_same({"a": {"b": 1, "c": [2]}}, "Mend it.")),
        "different": refused(
            lambda: processes.check_same({"a": {"b": index, "c": [2]}, "d": index}, "Mend it.")
        ),
        "handlers": [signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGTERM,)],
        "stopped": stopped_at(index),
    }
    pathlib.Path(result).write_text(json.dumps(found))
    with job.ending_together():
        if index == 1:
            raise ConfigError("alone\nand more")
        threading.Event().wait()  # as in a collective


if __name__ == "__main__":
    main()
