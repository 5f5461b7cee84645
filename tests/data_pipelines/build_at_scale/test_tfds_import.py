import importlib.util
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

from data_pipelines import records
from data_pipelines.decoding import decode
from data_pipelines.extras import MissingExtraError
from data_pipelines.tfds_import import import_frames
from tests.data_pipelines.build_at_scale.frames_program import picture_frames

ROOT = pathlib.Path(__file__).parents[3]
PROGRAM = pathlib.Path(__file__).with_name("frames_program.py")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow"), reason="TensorFlow is installed")
def test_without_tensorflow_it_is_said_how_to_install_it(tmp_path):
    with pytest.raises(MissingExtraError, match=r"needs tensorflow.*pip install 'vidtx\[tf\]'"):
        import_frames("ucf101", tmp_path, fps=25)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def run(interpreter_with):
    """Returns f(command, ...) -> the finished process, in an environment with TensorFlow."""
    python = interpreter_with("tensorflow", "tensorflow>=2.18")
    environment = {**os.environ, "PYTHONPATH": os.fspath(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def start(*arguments):
        return subprocess.run(
            [python, PROGRAM, *arguments], env=environment, capture_output=True, text=True
        )

    return start


@pytest.fixture(scope="module")
def tfds_dir(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    made = run("make", folder)
    assert made.returncode == 0, made.stderr[-3000:]
    return folder


@pytest.fixture
def bring_in(run, tfds_dir, tmp_path):
    """Returns f(**arguments) -> what an import told, or the text of its error."""

    def start(out, **arguments):
        arguments = {"fps": 12, "tfds_dir": os.fspath(tfds_dir), **arguments}
        content = json.dumps({"name": "tiny_frames", "out": os.fspath(out), **arguments})
        ended = run("import", tmp_path / "result.json", content)
        if ended.returncode:
            return ended.stderr
        return json.loads((tmp_path / "result.json").read_text())

    return start


def psnr(ours, theirs):
    difference = np.mean((ours.astype(float) - theirs.astype(float)) ** 2)
    return 10 * np.log10(255**2 / difference)


def numbers(out):
    """Which of the made videos is each record: (split, its number there) -> number overall."""
    found = {}
    for split in ("train", "test"):
        source = records.open_split("tiny_frames", split, out)
        for record in (source[index] for index in range(len(source))):
            assert record["fps"] == 12
            frames = decode.decode_all(record["video"], strict=True)
            assert len(frames) == record["num_frames"]
            number = len(frames) - 6  # each has another length
            assert psnr(frames, picture_frames(number, len(frames))) > 30
            assert record["label"] == number % 2
            found[record["video_id"]] = number
    return found


@pytest.mark.slow
def test_frames_of_tfds_become_videos(bring_in, tmp_path):
    out = tmp_path / "data"
    told = bring_in(out, video="clip")
    assert told["class_names"] == ["rise", "fall"]
    assert told["records"] == {"test": 3, "train": 5}
    assert told["source"].startswith("tiny_frames/3.1.0 of TFDS, feature clip")
    assert set(told["annotations"]) == {"tiny_frames/3.1.0 test", "tiny_frames/3.1.0 train"}
    found = numbers(out)
    assert sorted(found.values()) == list(range(8))
    assert {name for name, number in found.items() if number >= 5} == {
        f"test_{number:08d}" for number in range(3)
    }
    assert sorted(path.name for path in out.iterdir()) == ["tiny_frames"], "frames are left"

    again = bring_in(out, video="clip")
    assert again["fingerprint"] == told["fingerprint"]
    assert again["laid"] == []
    other = bring_in(out, video="clip", fps=24)
    assert "BuildConflictError" in other


@pytest.mark.slow
def test_an_import_that_was_stopped_goes_on_where_it_was(bring_in, tmp_path):
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    assert len(bring_in(stopped, video="clip", stop_after=4)["laid"]) == 4
    resumed, expected = bring_in(stopped, video="clip"), bring_in(whole, video="clip")
    assert len(resumed["laid"]) == 8 - 4
    assert resumed["annotations"] == expected["annotations"]
    assert resumed["records"] == expected["records"]
    assert numbers(stopped) == numbers(whole)


@pytest.mark.slow
def test_what_cannot_be_imported_is_told_of_in_a_sentence(bring_in, tfds_dir, tmp_path):
    out = tmp_path / "data"
    rate = bring_in(out, video="clip", fps=None)
    assert "FrameRateError: fps is None" in rate
    assert "ffmpeg's -r 12" in rate
    assert "more than one sequence of pictures, ['clip', 'steps/side']" in bring_in(out)
    assert "has no class 'clip'" in bring_in(out, video="clip", label="clip")
    assert "has no split ['valid']" in bring_in(out, video="clip", splits=["valid"])
    assert "TFDS has no data set 'no_such'" in bring_in(out, video="clip", name="no_such")
    assert "is where TFDS keeps tiny_frames/3.1.0" in bring_in(tfds_dir, video="clip")
    assert not out.exists()


@pytest.mark.slow
def test_grey_frames_inside_steps_without_a_class(bring_in, tmp_path):
    told = bring_in(
        tmp_path / "data", video="steps/side", label="", splits=["test"], new_name="sides"
    )
    assert told["records"] == {"test": 3}
    source = records.open_split("sides", "test", tmp_path / "data")
    greys = [decode.decode_all(source[index]["video"]) for index in range(3)]
    assert sorted(20 * round(frames.mean() / 20) for frames in greys) == [100, 120, 140]
    assert {frames.shape for frames in greys} == {(4, 8, 8, 3)}
    assert {source[index]["label"] for index in range(3)} == {-1}
