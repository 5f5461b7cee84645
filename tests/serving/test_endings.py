"""What ends otherwise than planned: long waits, closed terminals, damaged files, dead processes."""

import queue
import signal
import subprocess
import sys

import pytest

from tests.tiny_run import environment
from vidtx.serving.jobs import Job, Jobs
from vidtx.serving.kept import CLIP, Kept
from vidtx.serving.limits import ServingError

from .served import ask, files
from .test_api import PREDICT, wait_until


def test_pictures_of_answers_that_are_not_given_yet_are_never_tidied_away(tmp_path):
    now = [0.0]
    kept = Kept(tmp_path, most=2, seconds=10, clock=lambda: now[0])
    coming = [kept.reserve() for _ in range(5)]
    now[0] = 100.0
    kept.reserve()
    for name, folder in coming:
        (folder / CLIP).write_bytes(b"x")
        kept.answered(name)
    assert [kept.find(name, CLIP) is not None for name, _ in coming] == [False] * 3 + [True] * 2
    now[0] = 109.0
    assert kept.find(coming[-1][0], CLIP)
    now[0] = 111.0
    assert kept.find(coming[-1][0], CLIP) is None
    assert files(tmp_path) == []


def test_a_closed_terminal_ends_the_server_and_leaves_nothing(tmp_path, weights):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "vidtx", "serve", f"--weights={weights}", "--port=0"],
            env=environment(1) | {"TMPDIR": str(tmp_path)},
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        wait_until(lambda: list(tmp_path.glob("vidtx-serve-*/compiled")))
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.glob("vidtx-serve-*")) == []


def test_what_was_taken_for_granted_of_the_weights_is_told(server, video):
    taken = "Nothing is on record of the views by which these weights were judged"
    assert taken in server.log.read_text()
    assert ask(server, "GET", "/api/model").body["notes"][0].startswith(taken)
    got = ask(server, "POST", f"{PREDICT}?attention=0", video)
    assert got.body["notes"][0].startswith(taken)


def test_notes_of_a_damaged_file_say_what_they_are_of(server, make_frames, write_video):
    data = bytearray(write_video(make_frames(60), options={"g": "10", "bf": "0"}))
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    answer = ask(server, "POST", PREDICT, bytes(data)).body
    assert not answer["complete"]
    assert not answer["timeline"]["complete"]
    assert answer["timeline"]["ends"][-1] < answer["seconds"]
    said = [note for note in answer["notes"] if "The answer is of the first" in note]
    assert len([note for note in said if not note.startswith("Of the ")]) == 1
    assert all(note.startswith("Of the ") for note in said[1:])


class _Child:
    """Stands for a process that cannot be started, and then is lost in an unforeseen way."""

    ready = False

    def start(self, *_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    def compute(self, *_):
        raise RuntimeError("unforeseen")

    def close(self):
        pass


def test_no_fault_ends_the_thread_that_works():
    log = []
    jobs = Jobs(_Child(), 0, log.append)
    try:
        for _ in range(2):
            said = queue.SimpleQueue()
            jobs.submit(Job({}, said.put))
            while "failed" not in (told := said.get(timeout=10)):
                pass
            assert (told["failed"].status, told["failed"].kind) == (500, "bug")
        assert any("temporarily unavailable" in line for line in log)
        with (
            jobs.place(),
            pytest.raises(ServingError, match=r"^1 video is being sent"),
            jobs.place(),
        ):
            pass
    finally:
        jobs.close()


def test_an_origin_that_is_none_is_refused(server):
    got = ask(server, "POST", PREDICT, b"x", {"Origin": "http://["})
    assert (got.status, got.body["error"]["kind"]) == (403, "cross_site")
