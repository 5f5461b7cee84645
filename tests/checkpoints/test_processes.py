import pytest

from tests.checkpoints import states
from tests.checkpoints.states import names, restore
from tests.tiny_run import run_two_processes
from vidtx.checkpoints import BestStore


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes found with one run directory, and that directory."""
    folder = tmp_path_factory.mktemp("two")
    program = "tests.checkpoints.of_two_processes"
    found, *_ = run_two_processes(program, folder, folder / "run")
    return found, folder / "run"


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


def test_all_begin_with_weights_of_another_scheme_or_library(two):
    """Each device is given its share of them."""
    found, _ = two
    for one in (one["begins"] for one in found):
        assert one["checkpoint"]
        assert one["file"]
        message, together = one["absent on one"]
        assert together
        assert message.startswith("On process 1: There is no file or folder ")
        message, together = one["another on one"]
        assert together
        assert "train.init_from.digest: " in message
        assert "\nIt must name the same weights on every host, " in message
        message, together = one["less on record on one"]
        assert together
        assert "train.init_from.digest: " not in message
        assert "train.init_from.contract.class_names: " in message
        message, together = one["a checkpoint on one"]
        assert together
        kinds = "another library's weights on process 0, a checkpoint of vidtx on process 1"
        assert f"  - train.init_from.kind: {kinds}\n" in message


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
