import contextlib
import dataclasses
import os
import pathlib
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from data_pipelines import build, errors
from data_pipelines.annotations.entries import Entry

# A build in a process of its own.
PROGRAM = """
import os, signal, sys, pickle
from data_pipelines import build

def between():
    {between}

listing, out, options = pickle.load(open(sys.argv[1], "rb"))
if __name__ == "__main__":
    build.build(listing, out, between=between, **options)
"""


def start(tmp_path, listing, built, between, **options):
    """Starts such a process, with what it does about ten times a second."""
    (tmp_path / "arguments").write_bytes(pickle.dumps((listing, built.out, options)))
    program = PROGRAM.format(between=textwrap.indent(textwrap.dedent(between), "    ").strip())
    command = [sys.executable, "-c", program, os.fspath(tmp_path / "arguments")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def workers(parent=None):
    """Processes that build shards, of one parent or of any."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            if b"data_pipelines.build.worker" in (entry / "cmdline").read_bytes():
                state = (entry / "stat").read_text().rpartition(")")[2].split()
                if state[0] != "Z" and parent in (None, int(state[1])):
                    found.append(pid)
    return found


def wait_until(condition, seconds=60):
    """Waits for something that happens soon, or fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def stuck(tmp_path, make_listing):
    """Three sound videos and a pipe that nobody writes to: who opens it waits for ever."""
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    entries = make_listing(3, 0).splits["train"]
    return make_listing(splits={"train": [*entries, Entry("pipe", os.fspath(pipe), 0)]}), pipe


def test_a_killed_build_goes_on_at_the_last_finished_shard(tmp_path, make_listing, built):
    listing = make_listing(9, 0)
    between = f"""
        notes = {os.fspath(built.building)!r}
        if len([name for name in os.listdir(notes) if name.endswith(".done.json")]) >= 2:
            os.kill(os.getpid(), signal.SIGKILL)
    """
    process = start(tmp_path, listing, built, between, shards=9, workers=1)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    notes = list(built.building.glob("train-*.done.json"))
    assert 2 <= len(notes) < 9
    numbers = [note.name.split("-")[1].partition(".")[0] for note in notes]
    shards = [built.folder / f"street-train.array_record-{one}-of-00009" for one in numbers]
    before = [(shard.stat().st_ino, shard.stat().st_mtime_ns) for shard in shards]
    said = []
    manifest = build.build(listing, built.out, shards=9, workers=1, report=said.append)
    assert said[-1].resumed == len(notes)
    assert [(shard.stat().st_ino, shard.stat().st_mtime_ns) for shard in shards] == before
    undisturbed = type(built)("street", tmp_path / "undisturbed")
    other = build.build(listing, undisturbed.out, shards=9)
    assert built.read() == undisturbed.read()
    assert built.describe().fingerprint == other.fingerprint == manifest.fingerprint
    assert not built.building.exists()


def test_no_process_outlives_a_killed_build(tmp_path, stuck, built):
    listing, _ = stuck
    process = start(tmp_path, listing, built, "pass", shards=4, workers=2)
    wait_until(lambda: len(workers(process.pid)) == 2)
    left = workers(process.pid)
    process.kill()
    process.communicate()
    wait_until(lambda: not set(left) & set(workers()))


def test_a_stopped_build_ends_its_processes_and_keeps_finished_shards(stuck, built):
    listing, _ = stuck

    def between():
        if len(list(built.building.glob("*.done.json"))) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.build(listing, built.out, shards=4, workers=2, between=between)
    assert not workers(os.getpid())
    assert len(list(built.folder.glob("*array_record*"))) == 3
    assert not (built.folder / "dataset_info.json").exists()


def test_a_video_that_stops_its_decoder_is_dropped_by_name(stuck, built):
    listing, pipe = stuck
    manifest = build.build(listing, built.out, shards=2, workers=2, max_bad=0.25, stall_seconds=4)
    (dropped,) = manifest.splits["train"].files
    assert (dropped.video_id, dropped.path, dropped.kind) == ("pipe", str(pipe), "timed_out")
    assert "no progress for 4 seconds" in dropped.message
    assert len(built.read()) == 3
    assert not workers(os.getpid())


def test_a_video_that_ends_its_process_is_dropped_by_name(stuck, built):
    listing, pipe = stuck
    killed, held = [], []

    def between():
        # Opening the pipe for writing succeeds once a process waits in it for something to read.
        with contextlib.suppress(OSError):
            held.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        if not held:
            return
        (pid,) = workers(os.getpid())
        os.kill(pid, signal.SIGSEGV)
        killed.append(pid)
        wait_until(lambda: pid not in workers(os.getpid()))
        os.close(held.pop())

    manifest = build.build(listing, built.out, shards=1, workers=1, max_bad=0.25, between=between)
    assert len(set(killed)) == 2, "once may be for want of memory"
    (dropped,) = manifest.splits["train"].files
    assert (dropped.video_id, dropped.kind) == ("pipe", "crashed")
    assert "Segmentation fault" in dropped.message
    assert len(built.read()) == 3


def test_what_is_no_videos_fault_stops_the_build(make_listing, built):
    removed = []

    def between():
        # The folder is gone: whatever is built cannot be written.
        for path in () if removed else list(built.building.glob("*.jsonl")):
            path.unlink()
            removed.append(path)

    with pytest.raises(errors.BuildFailedError, match=r"FileNotFoundError.*run the same command"):
        build.build(make_listing(), built.out, workers=1, between=between)
    assert not workers(os.getpid())


def test_a_full_disk_stops_the_build_and_leaves_nothing_half_written(make_listing, built):
    def between():
        for pid in workers(os.getpid()):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))

    with pytest.raises(errors.BuildFailedError, match="disk is full") as caught:
        build.build(make_listing(6, 0), built.out, shards=2, workers=2, between=between)
    assert "Traceback" not in str(caught.value)
    assert not list(built.building.glob("tmp-*"))


def test_a_damaged_note_has_its_shard_done_again(make_listing, built, tmp_path):
    entries = [*make_listing(3, 0).splits["train"], Entry("gone", os.fspath(tmp_path / "gone"))]
    listing = make_listing(splits={"train": entries})
    with pytest.raises(errors.TooManyBadError):
        build.build(listing, built.out, shards=4)
    first, second, *_ = sorted(built.building.glob("*.done.json"))
    first.write_bytes(bytes(first.stat().st_size))
    second.write_text("{}")
    said = []
    build.build(listing, built.out, shards=4, max_bad=0.25, report=said.append)
    assert said[-1].resumed == 2
    assert len(built.read()) == 3


def test_finished_shards_stay_when_the_videos_have_moved(make_listing, built, tmp_path, videos):
    (tmp_path / "elsewhere").symlink_to(videos)
    entries = make_listing(3, 0).splits["train"]

    def at(folder):
        moved = [
            dataclasses.replace(entry, path=os.fspath(folder / pathlib.Path(entry.path).name))
            for entry in entries
        ]
        gone = Entry("gone", os.fspath(folder / "gone"))
        return make_listing(splits={"train": [*moved, gone]})

    with pytest.raises(errors.TooManyBadError):
        build.build(at(videos), built.out, shards=4)
    (built.building / "train-00001.done.json").unlink()
    said = []
    moved = at(tmp_path / "elsewhere")
    build.build(moved, built.out, shards=4, max_bad=0.25, report=said.append)
    assert said[-1].resumed == 3
    assert len(built.read()) == 3


def test_two_builds_of_one_data_set_do_not_mix(stuck, built):
    listing, _ = stuck
    tried = []

    def between():
        if not tried:
            tried.append(True)
            with pytest.raises(errors.BuildConflictError, match="another process is building"):
                build.build(listing, built.out, shards=2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.build(listing, built.out, shards=2, workers=1, between=between)
    assert tried
