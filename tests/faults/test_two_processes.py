"""Two processes of two devices each, as one job: stopped, killed, refused, and as good as one."""

import json
import re
import shutil
import signal
import time

import pytest

from tests.faults.processes import (
    assert_same_end,
    figures,
    finish,
    finish_job,
    saved_steps,
    start_job,
    wait_for_output,
    wait_for_step,
)
from tests.faults.test_bad_data import spoil_videos

# Judged twice, one video a device and batch.
RUN = {
    "train.steps": 40,
    "train.log_every_steps": 4,
    "checkpoint.every_steps": 9,
    "eval.every_steps": 20,
    "eval.global_batch": 4,
    "model.drop_path": 0.2,
    "data.flip": True,
}
FSDP = RUN | {"mesh.fsdp": 2}
# Every clip is split over the devices of both, which read the same ones.
SEQUENCE = RUN | {"mesh.sequence": 4}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def alone(motions_dir, runs):
    """A run of one process with one device."""
    code, error = finish(motions_dir, runs / "alone", **RUN)
    assert code == 0, error
    return runs / "alone"


@pytest.fixture(scope="module")
def undisturbed(motions_dir, runs):
    """A job with split weights that nothing happened to."""
    workdir = runs / "undisturbed"
    codes, errors = finish_job(start_job(motions_dir, workdir, **FSDP), workdir)
    assert codes == [0, 0], errors
    return workdir


def assert_close(workdir, reference):
    """Every figure of the run is the other's to rounding."""
    found, wanted = figures(workdir), figures(reference)
    assert [line.keys() for line in found] == [line.keys() for line in wanted]
    for line, other in zip(found, wanted, strict=True):
        assert line == pytest.approx(other, rel=2e-4), line["step"]


def stopped_step(errors):
    """The step that a stopped job names, in the one message that there is."""
    (step,) = re.findall(r"Stopped by SIGTERM after step (\d+), which is saved", "".join(errors))
    return int(step)


def test_a_job_ends_as_one_process_does(motions_dir, tmp_path, alone, undisturbed):
    workdir = tmp_path / "sequence"
    codes, errors = finish_job(start_job(motions_dir, workdir, **SEQUENCE), workdir)
    assert codes == [0, 0], errors
    assert_close(workdir, alone)
    assert_close(undisturbed, alone)
    # One process writes and prints.
    assert len(list((workdir / "tensorboard").iterdir())) == 1
    printed = [(tmp_path / f"sequence.{index}.out").read_text() for index in range(2)]
    assert "8 steps" not in printed[1]
    assert "step  40/40" in printed[0]
    assert "step" not in printed[1]


def test_stopped_and_killed_a_job_ends_as_an_undisturbed_one(motions_dir, tmp_path, undisturbed):
    workdir = tmp_path / "run"

    def start():
        return start_job(motions_dir, workdir, "--heartbeat_timeout=20", **FSDP)

    # In the evaluation, which follows upon the metrics of step 20.
    processes = start()
    wait_for_step(processes[0], workdir, 20)
    processes[1].send_signal(signal.SIGTERM)
    codes, errors = finish_job(processes, workdir)
    assert codes == [4, 4], errors
    assert "during an evaluation" in errors[0]
    assert "during an evaluation" not in errors[1]
    assert saved_steps(workdir)[-1] == 20

    # In training.
    processes = start()
    wait_for_step(processes[0], workdir, 24)
    processes[1].send_signal(signal.SIGTERM)
    codes, errors = finish_job(processes, workdir)
    assert codes == [4, 4], errors
    assert stopped_step(errors) == saved_steps(workdir)[-1] < 40
    assert "Going on after step 20" in (tmp_path / "run.0.out").read_text()

    # Killed: the other cannot go on alone, and may not notice but by the heartbeats.
    processes = start()
    wait_for_step(processes[0], workdir, 32)
    processes[1].kill()
    killed = time.monotonic()
    codes, errors = finish_job(processes, workdir)
    assert time.monotonic() - killed < 60
    assert codes[0] in (7, -signal.SIGABRT), errors

    codes, errors = finish_job(start(), workdir)
    assert codes == [0, 0], errors
    assert_same_end(workdir, undisturbed, 40)
    # The state is judged by two processes as it was while training.
    before = json.loads((workdir / "evaluation.json").read_text())
    codes, errors = finish_job(start_job(motions_dir, workdir, "--mode=eval", **FSDP), workdir)
    assert codes == [0, 0], errors
    assert json.loads((workdir / "evaluation.json").read_text()) == before


def test_a_job_of_one_process_is_stopped_and_goes_on(motions_dir, tmp_path, alone):
    workdir = tmp_path / "run"
    (process,) = start_job(motions_dir, workdir, count=1, devices=1, **RUN)
    wait_for_step(process, workdir, 24)
    process.send_signal(signal.SIGTERM)
    codes, errors = finish_job([process], workdir)
    assert codes == [4], errors
    assert stopped_step(errors) == saved_steps(workdir)[-1]
    job = start_job(motions_dir, workdir, count=1, devices=1, **RUN)
    codes, errors = finish_job(job, workdir)
    assert codes == [0], errors
    assert_same_end(workdir, alone, 40)


def test_another_run_s_directory_is_refused_by_all_and_told_once(motions_dir, runs, undisturbed):
    processes = start_job(motions_dir, undisturbed, **FSDP | {"seed": 7})
    codes, errors = finish_job(processes, undisturbed)
    assert codes == [2, 2], errors
    assert "seed: 0 then, 7 now" in errors[0]
    assert "then" not in errors[1]
    assert "Traceback" not in "".join(errors)


def test_processes_with_different_commands_are_refused(motions_dir, tmp_path):
    workdir = tmp_path / "run"
    processes = start_job(motions_dir, workdir, ["--config.seed=0", "--config.seed=7"], **RUN)
    codes, errors = finish_job(processes, workdir)
    assert codes == [2, 2], errors
    assert "config.seed: 0 on process 0, 7 on process 1" in errors[0]
    assert not workdir.exists()


def test_one_that_fails_alone_ends_all(motions_dir, tmp_path):
    shutil.copytree(motions_dir, tmp_path / "data")
    spoil_videos(tmp_path / "data", "train", {5})
    workdir = tmp_path / "run"
    processes = start_job(tmp_path / "data", workdir, **RUN | {"data.max_bad": 0.0})
    started = time.monotonic()
    codes, errors = finish_job(processes, workdir)
    assert codes == [5, 5], errors
    assert time.monotonic() - started < 120
    # Whichever has read it.
    by = next(index for index in range(2) if "record 5" in errors[index])
    assert f"process {by} has failed, and so this one ends too: 1 of" in errors[1 - by]
    assert "Traceback" not in "".join(errors)


def test_stopped_while_the_data_set_is_made(tmp_path):
    workdir = tmp_path / "run"
    processes = start_job(tmp_path / "data", workdir, **RUN)
    wait_for_output(processes[0], f"{workdir}.0", "videos made")
    processes[1].send_signal(signal.SIGTERM)
    codes, errors = finish_job(processes, workdir)
    assert codes == [4, 4], errors
    assert "Stopped by SIGTERM while the data set was made" in errors[0]
    assert not workdir.exists()


@pytest.mark.parametrize("index", [0, 1])
def test_a_job_whose_processes_do_not_come_together(motions_dir, tmp_path, index):
    workdir = tmp_path / "run"
    first, second = start_job(motions_dir, workdir, "--join_timeout=3", **RUN)
    gone, waiting = (second, first) if index == 0 else (first, second)
    gone.kill()
    assert waiting.wait(60) == 7
    error = (tmp_path / f"run.{index}.err").read_text()
    assert f"Process {index} of 2 has not come together with the others" in error
    assert "Traceback" not in error
