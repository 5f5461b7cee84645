"""Worker processes; they change no batch, their errors arrive, and they end with their parent."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_pipelines import errors
from data_pipelines.loader import ClipSpec, Reading, eval_batches, held_bytes, train_batches
from data_pipelines.workers import WorkersError
from tests.data_pipelines import reading_for_ever

SPEC = ClipSpec(frames=4, stride=2, crop=(24, 32), short_side=(26, 34), eval_short_side=30)


@pytest.fixture(scope="module")
def bad_dataset(tmp_path_factory, write_dataset, make_record):
    """Twelve records, of which number 7 is no video."""
    rows = [make_record(number) for number in range(12)]
    rows[7] = {**rows[7], "video": b"a text, not a video"}
    return write_dataset(tmp_path_factory.mktemp("bad"), {"train": rows})


def taken(batches, count=None):
    """Some batches, or all, and the failures that came with them."""
    with batches:
        found = [next(batches) for _ in range(count)] if count else list(batches)
        return found, batches.failures, batches.examples


def assert_same(taken, others):
    (batches, *failures), (expected, *expected_failures) = taken, others
    assert failures == expected_failures
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        assert batch.keys() == other.keys()
        for key in batch:
            assert type(batch[key]) is np.ndarray
            assert batch[key].dtype == other[key].dtype
            np.testing.assert_array_equal(batch[key], other[key], err_msg=key)


@pytest.mark.parametrize(
    ("workers", "threads"),
    [
        (2, 0),
        # Starting workers is what costs.
        *(pytest.param(*counts, marks=pytest.mark.slow) for counts in ((1, 2), (2, 2), (4, 1))),
    ],
)
def test_workers_change_no_batch(bad_dataset, workers, threads):
    """Of one of two hosts, resumed at batch 2, with an unreadable record."""
    source = bad_dataset.open()
    options = {"global_batch": 12, "seed": 3, "max_bad": 1.0, "shard_index": 1, "shard_count": 2}
    whole, *_ = taken(train_batches(source, SPEC, **options), 7)
    assert sum(batch["replaced"].sum() for batch in whole[2:]) >= 2
    options |= {"workers": workers, "threads": threads, "start_batch": 2}
    rest, failures, examples = taken(train_batches(source, SPEC, **options), 5)
    assert_same((rest,), (whole[2:],))
    assert failures.total() == len(examples) == sum(batch["replaced"].sum() for batch in rest)


def test_workers_evaluate_everything_once_and_in_order(bad_dataset):
    source = bad_dataset.open()
    expected = taken(eval_batches(source, SPEC, global_batch=5))
    batches = eval_batches(source, SPEC, global_batch=5, workers=2, threads=1)
    assert len(batches) == 3
    found = taken(batches)
    assert_same(found, expected)
    assert [failure.index for failure in found[2]] == [7]


def test_an_evaluation_with_workers_leaves_no_shared_memory(dataset):
    batches = eval_batches(dataset.open(), SPEC, global_batch=4, workers=2, threads=1)
    taken(batches)
    batches.close()
    assert "/psm_" not in pathlib.Path("/proc/self/maps").read_text()


def test_errors_of_a_worker_keep_their_kind_and_name_the_record(tmp_path, write_dataset, rows):
    source = write_dataset(tmp_path, {"train": [{**row, "video": b"no"} for row in rows]}).open()
    with pytest.raises(errors.DataQualityError, match=r"8 records .* in a row(.|\n)*clip_00"):
        taken(train_batches(source, SPEC, global_batch=2, seed=0, workers=1, threads=0), 1)


def test_an_error_that_cannot_travel_arrives_in_words():
    """Lost on its way, it would leave the caller waiting for ever."""
    source = reading_for_ever.Unwell()
    with pytest.raises(RuntimeError, match=r"ChillError: record 0 .*of 11.5 degrees") as caught:
        taken(eval_batches(source, SPEC, global_batch=2, workers=1, threads=0), 1)
    assert any("record 0" in note for note in caught.value.__notes__)


def test_too_little_shared_memory_is_told_before_anything_starts(bad_dataset):
    source = bad_dataset.open()
    huge = ClipSpec(frames=10_000, crop=(4000, 4000), short_side=(4000, 4000), eval_short_side=4000)
    with pytest.raises(WorkersError, match=r"need [\d,]+ bytes .* free of [\d,]+.*shm-size"):
        train_batches(source, huge, global_batch=10_000, seed=0, workers=2)
    train_batches(source, huge, global_batch=10_000, seed=0).close()


@pytest.mark.parametrize("wrong", [{"threads": -1}, {"workers": -1}, {"buffer": 0}])
def test_impossible_numbers_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name}={value} must be at least"):
        Reading(**wrong)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def reader(dataset):
    """A program that reads with one worker, and f() -> the next line that it prints."""
    root = pathlib.Path(__file__).parents[2]
    program = subprocess.Popen(
        [sys.executable, "-m", reading_for_ever.__name__, str(dataset.data_dir), dataset.name],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    yield program, lambda: program.stdout.readline().strip()
    program.kill()
    program.communicate()


def children(pid):
    """Worker processes of a process, without Python's tracker of shared memory."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and "spawn_main" in (path / "cmdline").read_text():
                found.append(int(path.name))
        except OSError:  # gone meanwhile
            pass
    return found


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")
def test_workers_outlive_ctrl_c_and_not_their_parent(reader):
    program, line = reader
    assert line() == "batch 0"
    (worker,) = children(program.pid)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    os.killpg(program.pid, signal.SIGTERM)  # as a scheduler does
    noted, batches = set(), 0
    while len(noted) < 2 or batches < 20:
        said = line()
        assert said.startswith(("noted ", "batch "))
        noted |= {said} if said.startswith("noted") else set()
        batches = batches + 1 if len(noted) == 2 else 0
    assert noted == {"noted 2", "noted 15"}
    assert alive(worker)
    program.kill()
    assert wait_for(lambda: not alive(worker))


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")
def test_a_worker_that_is_killed_is_told_without_a_stack_trace(reader):
    program, line = reader
    assert line() == "batch 0"
    (worker,) = children(program.pid)
    os.kill(worker, signal.SIGKILL)
    lines, noise = program.communicate(timeout=60)
    last = lines.splitlines()[-1]
    assert last.startswith("WorkersError: a worker process of the loader was ended with exit code ")
    assert "-9 (mostly the system does so when memory runs out)" in last
    assert (program.returncode, "Traceback" in noise, "Exception" in noise) == (0, False, False)


def test_what_the_loader_may_hold_is_counted_in_batches():
    clips = 6 * 4 * 24 * 32 * 3
    assert held_bytes(SPEC, 6, Reading(threads=0)) == 2 * clips
    assert held_bytes(SPEC, 6, Reading(threads=2)) == (4 + 2) * clips
    assert held_bytes(SPEC, 6, Reading(threads=1, buffer=5)) == (6 + 1) * clips
    assert held_bytes(SPEC, 6, Reading(threads=0, workers=3)) == (3 * 2 + 3 * 4 + 1) * clips
    views = ClipSpec(4, 2, None, (24, 24), (24, 24), 30, temporal_views=2, spatial_crops=3)
    reading = Reading(threads=0)
    sixfold = held_bytes(views, 6, reading, evaluation=True)
    assert sixfold == 6 * held_bytes(views, 6, reading)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks into /proc")
def test_the_loader_holds_no_more_than_it_says(tmp_path, dataset):
    """Of a program of its own, that takes large batches slower than they could come."""
    root = pathlib.Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.data_pipelines.reading_slowly"]
    command += [str(dataset.data_dir), dataset.name]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    grown, stated, batch = map(int, said.stdout.split())
    assert grown < stated + batch + 40e6, "beside the batch in hand and what decoding takes"
    assert grown > 2 * batch, "nothing was read ahead, so nothing was measured"
