"""From the files of a published data set to a trained and judged model, through the doors alone."""

import json

import pytest

from data_pipelines.errors import DatasetDamagedError
from data_pipelines.records import describe
from tests.faults.processes import figures
from tests.tiny_run import arguments
from tests.ucf101_tree import CUT, MISSING, write_ucf101
from vidtx import cli, main

SMALL = {
    "data.image_size": "(32,32)",
    "data.short_side": "(36,40)",
    "data.eval_short_side": 32,
    "data.stride": 4,
    "data.threads": 2,
    "model.name": "timesformer_ti8",
    "train.epochs": None,
    "train.init_from": None,  # published weights, which are of other sizes and on the Hub
    "eval.spatial_crops": 3,
    "checkpoint.every_steps": 2,
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a small UCF101, built from its files; one is missing, and one was cut."""
    folder = tmp_path_factory.mktemp("ucf101")
    videos, lists = write_ucf101(folder)
    command = [
        *("data", "build", "ucf101", f"--videos={videos}", f"--annotations={lists}"),
        *(f"--out={folder / 'data'}", "--short_side=none", "--workers=1"),
    ]
    assert cli.main(command) == 5  # one of 12 is missing: nothing is begun
    assert not (folder / "data").exists()
    assert cli.main([*command, "--max_bad=0.1"]) == 5  # with the broken one, 2 of 12 are bad
    with pytest.raises(DatasetDamagedError, match="not built to its end"):
        describe("ucf101", folder / "data")
    assert cli.main([*command, "--max_bad=0.2"]) == 0
    return folder / "data"


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """The directory of a run of four steps on it."""
    workdir = tmp_path_factory.mktemp("runs") / "ucf101"
    assert main.main(arguments(built, workdir, "ucf101_divided", **SMALL)) == 0
    return workdir


def test_what_is_missing_and_what_is_broken_is_on_record(built):
    manifest = json.loads((built / "ucf101" / "1.0.0" / "manifest.json").read_text())
    train, test = manifest["splits"]["train"], manifest["splits"]["test"]
    assert (train["listed"], train["found"], train["records"]) == (12, 11, 10)
    assert (test["listed"], test["found"], test["records"]) == (6, 6, 6)
    assert train["dropped"] == {"missing_file": 1, "undecodable": 1}
    assert {(video["video_id"], video["kind"]) for video in train["files"]} == {
        (MISSING.removesuffix(".avi"), "missing_file"),
        (CUT.removesuffix(".avi"), "undecodable"),
    }
    assert manifest["fingerprint"] == describe("ucf101", built).fingerprint


def test_an_audit_finds_it_sound(built, capsys):
    assert cli.main(["data", "audit", str(built / "ucf101"), "--workers=1"]) == 0
    assert "sound" in capsys.readouterr().out


def test_training_records_the_fingerprint_and_what_was_left_out(trained, built, capsys):
    dataset = json.loads((trained / "dataset.json").read_text())
    assert dataset["fingerprint"] == describe("ucf101", built).fingerprint
    assert dataset["splits"] == {"train": 10, "test": 6}
    assert [line["step"] for line in figures(trained) if "train/loss" in line] == [2, 4]


def test_every_test_video_is_judged_once_and_counted(trained, built, capsys):
    command = [f"--workdir={trained}", "--mode=eval", "--config.eval.global_batch=4"]
    assert main.main(command) == 0
    out = capsys.readouterr().out
    assert "6 of 6 videos judged" in out
    assert describe("ucf101", built).fingerprint[:12] in out
