import ast
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from data_pipelines import records

ROOT = pathlib.Path(__file__).parents[3]
PROGRAM = pathlib.Path(__file__).with_name("program.py")
LOCAL = ["--runner=DirectRunner", "--direct_num_workers=2"]
SETTINGS = {"short_side": 32, "max_fps": 15.0}

# Runs at the start of every process of a build. A decoder cannot be made to crash on demand, but
# whoever opens this video gets what the system sends to a program that has.
CRASH = """
import os, signal, sys

def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith("crashing.mp4"):
        os.kill(os.getpid(), signal.SIGSEGV)

sys.addaudithook(watch)
"""

# Takes the place of a library that must not be imported, and tells who did.
TRAP = """
import os, traceback
with open(os.environ["IMPORTED"], "a") as file:
    file.write("".join(traceback.format_stack()) + "-" * 80)
raise ImportError("must not be imported")
"""


@pytest.fixture(scope="module")
def beam_python(interpreter_with):
    return interpreter_with("apache_beam", "apache-beam>=2.77")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The variables of a process that may import neither TensorFlow nor JAX."""
    folder = tmp_path_factory.mktemp("traps")
    (folder / "sitecustomize.py").write_text(textwrap.dedent(CRASH))
    for library in ("tensorflow", "jax"):
        (folder / f"{library}.py").write_text(TRAP)
    path = os.pathsep.join(map(os.fspath, (folder, ROOT)))
    return {**os.environ, "PYTHONPATH": path, "IMPORTED": os.fspath(folder / "imported")}


@pytest.fixture(scope="module")
def splits(tmp_path_factory, make_frames, write_video):
    """What annotations list: sound videos and one of each kind that is dropped."""
    folder = tmp_path_factory.mktemp("videos")

    def write(name, content):
        (folder / name).write_bytes(content)
        return os.fspath(folder / name)

    sound = [
        (
            f"clip_{number}",
            write(f"{number}.mp4", write_video(make_frames(8 + number, seed=number))),
        )
        for number in range(9)
    ]
    whole = write_video(make_frames(30, seed=99))
    broken = [
        ("cut", write("cut.mp4", whole[: len(whole) // 2])),
        ("text", write("text.mp4", b"no video at all")),
        ("missing", None),
        ("crash", write("crashing.mp4", whole)),
    ]
    entries = [
        (video_id, path, number % 3) for number, (video_id, path) in enumerate(sound + broken)
    ]
    return {"train": entries[::2], "test": entries[1::2]}


def start(python, environment, out, splits, beam):
    arguments = {
        "out": os.fspath(out),
        "splits": splits,
        "settings": SETTINGS,
        "shards": 3,
        "beam": beam,
    }
    result = out.with_name(f"{out.name}.json")
    process = subprocess.Popen(
        [python, os.fspath(PROGRAM), os.fspath(result), json.dumps(arguments)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, result


def finish(process, result):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return {**json.loads(result.read_text()), "said": errors}


def content(out, split):
    source = records.open_split("scaled", split, out)
    return [source[number] for number in range(len(source))]


@pytest.fixture(scope="module")
def built(tmp_path_factory, environment, splits):
    """The same data set built on one machine: the folder, and what the build told."""
    out = tmp_path_factory.mktemp("single") / "data"
    return out, finish(*start(sys.executable, environment, out, splits, None))


@pytest.mark.slow
def test_a_pipeline_builds_what_one_machine_builds(
    beam_python, environment, splits, built, tmp_path
):
    out = tmp_path / "data"
    told = finish(*start(beam_python, environment, out, splits, LOCAL))
    single, expected = built
    assert told["fingerprint"] == expected["fingerprint"]
    assert told["dropped"] == expected["dropped"]
    kinds = {kind for split in told["dropped"].values() for _, kind, _ in split}
    assert kinds == {"crashed", "missing_file", "undecodable"}
    assert told["progress"] == [13, 13, 0, 4]
    counted = re.search(r"counted by the workers: ({.*})", told["said"])[1]
    counts = ast.literal_eval(counted)
    assert (counts["shards"], counts["videos"], counts["records"]) == (6, 13, 9)
    assert (counts["dropped"], counts["dropped_undecodable"]) == (4, 2)
    same_software = all(
        told["versions"].get(name) == version
        for name, version in expected["versions"].items()
        if name.startswith("lib") or name in ("x264", "array_record", "tensorflow-datasets")
    )
    for split in ("train", "test"):
        ours, theirs = content(out, split), content(single, split)
        assert len(ours) == len(theirs) > 0
        for our, their in zip(ours, theirs, strict=True):
            if not same_software:  # other encoders may write other bytes, of the same frames
                our, their = ({**record, "video": b""} for record in (our, their))
            assert our == their
    assert records.describe("scaled", out).fingerprint == expected["fingerprint"]
    imported = pathlib.Path(environment["IMPORTED"])
    assert not imported.exists(), imported.read_text()


@pytest.mark.slow
def test_a_pipeline_that_was_killed_goes_on_at_the_last_finished_shard(
    beam_python, environment, splits, built, tmp_path
):
    out = tmp_path / "data"
    process, _ = start(beam_python, environment, out, splits, LOCAL)
    folder = out / "scaled" / "1.0.0"
    begun = time.monotonic()
    while not (notes := list(folder.glob(".building/*.done.json"))):
        assert process.poll() is None, process.stderr.read()[-3000:]
        assert time.monotonic() - begun < 300, "no shard was ever finished"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "dataset_info.json").exists()
    kept = {note: note.stat().st_mtime_ns for note in notes}

    told = finish(*start(beam_python, environment, out, splits, LOCAL))
    assert told["fingerprint"] == built[1]["fingerprint"]
    assert told["dropped"] == built[1]["dropped"]
    videos, total, resumed, _ = told["progress"]
    assert videos == total == 13
    assert resumed >= 1
    for note, written in kept.items():
        assert not note.exists() or note.stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_data_set_that_is_there_needs_no_pipeline(
    beam_python, environment, splits, built, tmp_path
):
    out, expected = built
    told = finish(*start(beam_python, environment, out, splits, ["--runner=no.such.Runner"]))
    assert told["fingerprint"] == expected["fingerprint"]


@pytest.mark.slow
def test_a_runner_that_fails_is_told_of_in_a_sentence(beam_python, environment, splits, tmp_path):
    out = tmp_path / "data"
    process, _ = start(beam_python, environment, out, splits, ["--runner=no.such.Runner"])
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "BuildFailedError: the Beam pipeline failed: ModuleNotFoundError" in errors
