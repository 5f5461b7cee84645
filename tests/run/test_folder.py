"""A run on a folder of videos, read by a worker; and one that begins with its weights alone."""

import json
import shutil

import numpy as np
import pytest

from data_pipelines import encode
from tests.tiny_run import arguments
from vidtx import main

OPTIONS = {
    "data.source": "folder",
    "data.name": "my videos",
    "data.eval_split": "validation",
    "data.workers": 1,
    "data.threads": 0,
    "train.steps": 2,
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Folders of two classes and two splits."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(10):
        split, name = "val" if number > 7 else "train", "ab"[number % 2]
        path = folder / "my videos" / split / name / f"#{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = np.random.default_rng(number).integers(0, 256, (9, 32, 40, 3), np.uint8)
        path.write_bytes(encode.encode_mp4(frames, fps=8))
    return folder


@pytest.fixture(scope="module")
def finished(videos, tmp_path_factory):
    """The directory of a run on them."""
    workdir = tmp_path_factory.mktemp("runs") / "folder"
    assert main.main(arguments(videos, workdir, **OPTIONS)) == 0
    return workdir


def test_a_folder_is_trained_on_and_said_to_be_slower(finished, videos, capsys):
    assert json.loads((finished / "evaluation.json").read_text())["examples"] == 2
    dataset = json.loads((finished / "dataset.json").read_text())
    assert (dataset["source"], dataset["splits"]) == ("folder", {"train": 8, "validation": 2})
    # Told by each start, also one that finds nothing left to do.
    assert main.main(arguments(videos, finished, **OPTIONS)) == 0
    said = capsys.readouterr().out
    assert "read from files as they are, which is slower. To read faster: vidtx data build" in said
    assert "Finished already" in said


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"data.eval_split": "test"}, "--config.data.eval_split=validation"),
        ({"data.eval_split": "test[:50%]+test"}, "--config.data.eval_split=validation"),
        ({"data.train_split": "training"}, "--config.data.train_split=train"),
        # There is one, and only the slice is empty.
        ({"data.eval_split": "validation[:1%]"}, None),
    ],
)
def test_a_split_that_is_not_there_is_answered_with_the_flag(
    videos, tmp_path, capsys, changes, flag
):
    """As the recipes of today ask of one's own data set for ``test``."""
    assert main.main(arguments(videos, tmp_path / "run", **OPTIONS | changes)) == 2
    said = capsys.readouterr().err
    assert "it has splits ['train', 'validation']" in said
    assert (f"Here it may be {flag}." in said) if flag else ("Here it may be" not in said)


@pytest.mark.parametrize("name", ["yours", "file"])
def test_a_folder_that_is_not_there_is_told_in_options_of_a_run(videos, tmp_path, capsys, name):
    (videos / "file").touch()
    options = OPTIONS | {"data.name": name}
    assert main.main(arguments(videos, tmp_path / "run", **options)) == 2
    said = capsys.readouterr().err
    what = "does not exist" if name == "yours" else "is a file, not a folder"
    assert f"reads the folder {videos / name}, which {what}." in said
    assert "--config.data.name=NAME" in said
    assert "--config.data.data_dir=FOLDER" in said
    assert "--videos" not in said


def test_weights_bring_along_how_their_clips_were_prepared(finished, videos, tmp_path, capsys):
    """Also if one checkpoint is all that was copied."""
    copy = shutil.copytree(finished / "checkpoints" / "2", tmp_path / "2")
    contract = json.loads((copy / "contract" / "metadata").read_text())
    assert contract["class_names"] == ["a", "b"]
    assert (
        contract["fingerprint"]
        == json.loads((finished / "dataset.json").read_text())["fingerprint"]
    )
    other = {"train.init_from": copy, "data.mean": "(0.5, 0.4, 0.45)", "data.channel_order": "bgr"}
    workdir = tmp_path / "run"
    assert main.main(arguments(videos, workdir, **OPTIONS | other)) == 2
    said = capsys.readouterr().err
    assert "  - data.mean: (0.45, 0.45, 0.45) then, (0.5, 0.4, 0.45) now\n" in said
    assert "  - data.channel_order: 'rgb' then, 'bgr' now\n" in said
    assert "data.std" not in said
    cure = "--config.data.mean='(0.45, 0.45, 0.45)' --config.data.channel_order=rgb"
    assert cure in said
    assert not workdir.exists(), "a wrong option can be mended"
