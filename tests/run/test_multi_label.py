"""A run on videos of any number of classes, from its command to its report."""

import json

import numpy as np
import pytest
from PIL import Image

from tests import multi_label_data
from tests.multi_label_data import CLASS_NAMES, NAME
from tests.tiny_run import arguments
from vidtx import main
from vidtx.reporting import read_metrics

OVERRIDES = {"data.name": NAME, "data.multi_label": True, "eval.every_steps": 2}


@pytest.fixture(scope="module")
def data_dir(motions_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    multi_label_data.build(motions_dir, folder)
    return folder


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """The directory of a finished run of four steps."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    assert main.main(arguments(data_dir, workdir, **OVERRIDES)) == 0
    return workdir


def test_metrics_have_the_figures_of_many_labels(finished):
    records = read_metrics(finished / "metrics.jsonl")
    judged = [record for record in records if "eval/map" in record]
    assert [record["step"] for record in judged] == [2, 4]
    for record in judged:
        assert "eval/top1" not in record
        assert 0 <= record["eval/hit1"] <= 1
        assert 0 < record["eval/map"] <= 1
        assert record["eval/examples"] == 16
    losses = [record["train/loss"] for record in records if "train/loss" in record]
    # A yes or no for each class, averaged over them.
    assert losses[0] == pytest.approx(np.log(2), rel=0.2)


def test_the_evaluation_and_its_pictures(finished):
    evaluation = json.loads((finished / "evaluation.json").read_text())
    assert evaluation["multi_label"]
    assert evaluation["class_names"] == list(CLASS_NAMES)
    assert evaluation["counts"][-1] == 0
    assert evaluation["average_precisions"][-1] is None
    known = [value for value in evaluation["average_precisions"] if value is not None]
    assert evaluation["map"] == pytest.approx(np.mean(known))
    assert evaluation["classes_without_videos"] == len(CLASS_NAMES) - len(known)
    assert not (finished / "confusion.png").exists()
    report = (finished / "report.html").read_text()
    assert "mean average precision" in report
    assert "lowest average precision first" in report
    assert "top-1" not in report
    with Image.open(finished / "contact_sheet.png") as image:
        assert min(image.size) > 200


def test_eval_mode_finds_the_same_again_for_any_batch_size(finished, data_dir, capsys):
    before = json.loads((finished / "evaluation.json").read_text())
    command = arguments(data_dir, finished, **OVERRIDES, **{"eval.global_batch": 5})
    assert main.main([*command, "--mode=eval"]) == 0
    after = json.loads((finished / "evaluation.json").read_text())
    assert after.pop("loss") == pytest.approx(before.pop("loss"), rel=1e-5)
    for name in ("best", "worst"):  # probabilities are as exact as the arithmetic
        after.pop(name), before.pop(name)
    assert after == before
    output = capsys.readouterr().out
    assert "mAP" in output
    assert "mAP leaves out" in output
    assert "average precision" in output


def test_the_other_kind_of_labels_is_refused_with_the_cure(data_dir, motions_dir, tmp_path, capsys):
    for folder, overrides in (
        (data_dir, {"data.name": NAME}),
        (motions_dir, {"data.multi_label": True}),
    ):
        assert main.main(arguments(folder, tmp_path / folder.name, **overrides)) == 2
        wanted = not overrides.get("data.multi_label", False)
        assert f"set data.multi_label={wanted}" in capsys.readouterr().err
