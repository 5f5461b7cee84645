"""Runs that are killed or stopped go on and end bit-equal to one that was not."""

import random
import signal
import time

import pytest

from data_pipelines import motions
from tests.faults.processes import (
    LONG,
    assert_same_end,
    figures,
    finish,
    saved_steps,
    start,
    wait_for_output,
    wait_for_step,
)


@pytest.fixture(scope="module")
def undisturbed(motions_dir, tmp_path_factory):
    """A run that nothing happened to."""
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    code, error = finish(motions_dir, workdir, **LONG)
    assert code == 0, error
    return workdir


def test_killed_at_a_random_moment(motions_dir, tmp_path, undisturbed):
    workdir = tmp_path / "run"
    moment = random.Random().randrange(4, 90)
    process = start(motions_dir, workdir, **LONG)
    wait_for_step(process, workdir, moment)
    time.sleep(random.random())  # anywhere between this line of metrics and one of the next
    process.kill()
    assert process.wait() == -signal.SIGKILL
    code, error = finish(motions_dir, workdir, **LONG)
    assert code == 0, error
    print(f"killed after step {moment}")  # for whoever reads of a failure
    assert_same_end(workdir, undisturbed, 100)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_stopped_by_a_signal(motions_dir, tmp_path, undisturbed, number):
    workdir = tmp_path / "run"
    process = start(motions_dir, workdir, **LONG)
    wait_for_step(process, workdir, 12)
    process.send_signal(number)
    assert process.wait(60) == 4
    message = (tmp_path / "run.err").read_text()
    assert f"Stopped by {number.name} after step" in message
    assert "Traceback" not in message
    stopped_at = saved_steps(workdir)[-1]
    assert f"after step {stopped_at}" in message  # nothing between the last step and the save
    code, error = finish(motions_dir, workdir, **LONG)
    assert code == 0, error
    assert f"Going on after step {stopped_at}" in (tmp_path / "run.out").read_text()
    assert_same_end(workdir, undisturbed, 100)


def test_stopped_while_it_is_judged(motions_dir, tmp_path):
    """Judging takes one video a batch here, so that the signal comes in the middle of it."""
    options = LONG | {"train.steps": 8, "eval.every_steps": 4, "eval.global_batch": 1}
    reference, workdir = tmp_path / "reference", tmp_path / "run"
    assert finish(motions_dir, reference, **options)[0] == 0
    process = start(motions_dir, workdir, **options)
    # The metrics of step 4 are written, then the state after it is judged.
    wait_for_step(process, workdir, 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 4
    assert "during an evaluation" in (tmp_path / "run.err").read_text()
    assert finish(motions_dir, workdir, **options)[0] == 0
    assert_same_end(workdir, reference, 8)
    assert [f["step"] for f in figures(workdir) if "eval/top1" in f] == [4, 8]


def test_a_damaged_newest_checkpoint_is_set_aside_and_the_one_before_used(
    motions_dir, tmp_path, undisturbed
):
    workdir = tmp_path / "run"
    process = start(motions_dir, workdir, **LONG)
    wait_for_step(process, workdir, 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 4
    before, newest = saved_steps(workdir)
    for path in (workdir / "checkpoints" / str(newest)).rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            path.write_bytes(path.read_bytes()[:500])
    code, error = finish(motions_dir, workdir, **LONG)
    assert code == 0, error
    output = (tmp_path / "run.out").read_text()
    assert f"Checkpoint {newest} is damaged" in output
    assert f"Going on after step {before}" in output
    assert (workdir / "checkpoints" / f"damaged-{newest}").is_dir()
    assert_same_end(workdir, undisturbed, 100)


def test_storage_that_refuses_a_checkpoint_stops_the_run_and_costs_nothing(
    motions_dir, tmp_path, undisturbed
):
    workdir = tmp_path / "run"
    process = start(motions_dir, workdir, **LONG)
    wait_for_step(process, workdir, 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 4
    code, error = finish(motions_dir, workdir, largest_file=150_000, **LONG)
    assert code == 7, error
    message = error.splitlines()[-1]
    assert f"could not be written to {workdir / 'checkpoints'}" in message
    assert "File too large" in message
    code, error = finish(motions_dir, workdir, **LONG)
    assert code == 0, error
    assert_same_end(workdir, undisturbed, 100)


def test_stopped_while_the_data_set_is_made(tmp_path):
    workdir = tmp_path / "run"
    process = start(tmp_path / "data", workdir, **{"train.steps": 2})
    wait_for_output(process, workdir, "videos made")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 4
    message = (tmp_path / "run.err").read_text()
    assert "Stopped by SIGINT while the data set was made" in message
    assert "Traceback" not in message
    assert not motions.is_built(tmp_path / "data")
    assert not workdir.exists()
