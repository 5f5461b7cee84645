import json
import socket
import subprocess
import sys

import pytest

from tests.checkpoints import states
from tests.checkpoints.states import names, restore
from tests.tiny_run import environment
from vidtx.checkpoints import BestStore


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes found with one run directory, and that directory."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    results = [folder / "0.json", folder / "1.json"]
    program = [sys.executable, "-m", "tests.checkpoints.of_two_processes"]
    processes = [
        subprocess.Popen(
            [*program, result, port, str(index), folder / "run"],
            env=environment(devices=2), cwd=folder, stderr=subprocess.PIPE, text=True,
        )
        for index, result in enumerate(results)
    ]  # fmt: skip
    try:
        errors = [process.communicate(timeout=240)[1][-4000:] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [json.loads(result.read_text()) for result in results], folder / "run"


def test_all_restore_the_same_step_whoever_finds_the_damage(two):
    found, _ = two
    for index, one in enumerate(found):
        # Notes are made by the first alone.
        four, three = ([f"Checkpoint {step} is damaged"] * (index == 0) for step in (4, 3))
        assert one["checkpoints"] == {
            "saved": [4, []],
            "damaged for both": [3, four],
            "damaged for the second": [3, four],
            "damaged for each": [2, four + three],
        }


def test_all_keep_the_same_best(two):
    found, _ = two
    for index, one in enumerate(found):
        assert one["best"] == {
            "taken": [5, 6, 8, 6],
            "kept": [[6, 0.7], [8, 0.6]],
            "best": [6, []],
            "next best": [8, ["Checkpoint 6 is damaged"] if index == 0 else []],
        }


def test_all_begin_with_the_same_weights_or_with_none(two):
    found, _ = two
    assert [one["weights"] for one in found] == [[5, 2, True]] * 2


def test_folders_that_are_not_shared_are_told(two):
    found, _ = two
    for one in found:
        assert one["not shared"] == [
            "Processes of this run do not see the same checkpoints in ", True
        ]  # fmt: skip


def test_what_two_processes_saved_one_may_restore(two):
    _, workdir = two
    assert names(workdir, "best") == ["8", "damaged-6"]
    with BestStore(workdir, read_only=True) as best:
        step, state = best.restore_best(states.abstract())
    assert step == 8
    states.assert_equal(state, states.state(8))
    (step, state), notes = restore(workdir)
    assert (step, notes) == (5, [])
    states.assert_equal(state, states.state(5))
    assert names(workdir) == ["2", "5", "damaged-3", "damaged-4", "damaged-4-2"]
