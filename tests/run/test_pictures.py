"""What is said of an evaluation, and below the clips of a contact sheet."""

import types

import numpy as np
import pytest

from vidtx.evaluation import Evaluation
from vidtx.run import pictures

NAMES = ("archery", "bowling", "curling")


@pytest.fixture
def setup():
    description = types.SimpleNamespace(name="demo", version="1.0.0", fingerprint="0" * 64)
    return types.SimpleNamespace(
        data=types.SimpleNamespace(description=description),
        spec=types.SimpleNamespace(data=types.SimpleNamespace(eval_split="test")),
    )


def found(class_names=NAMES, **figures):
    counts = np.array([3, 2, 0])
    return Evaluation(
        step=7, examples=4, failed=1, loss=0.25, class_names=class_names, class_counts=counts,
        class_scores=np.array([0.5, 1.0, np.nan]), **figures,
    )  # fmt: skip


def test_one_label_a_video_is_described_by_accuracies(setup):
    confusion = np.array([[1, 2, 0], [0, 2, 0], [0, 0, 0]])
    text = pictures.describe_evaluation(setup, found(top1=0.6, top5=1.0, confusion=confusion))
    lines = text.splitlines()
    assert lines[0].endswith("state 7: 4 of 5 videos judged")
    assert lines[1] == "top-1 60.0 %   top-5 100.0 %   loss 0.2500"
    assert lines[2].split() == ["class", "name", "clips", "accuracy"]
    assert lines[-1].split() == ["mean", "of", "classes", "5", "75.0", "%"]


def test_many_labels_are_described_by_precisions(setup):
    text = pictures.describe_evaluation(setup, found(mean_average_precision=0.75, hit1=0.5))
    lines = text.splitlines()
    assert lines[1] == "mAP 75.0 %   hit@1 50.0 %   loss 0.2500"
    assert lines[2] == "mAP leaves out 1 of the 3 classes, which no video here has."
    assert lines[3].split() == ["class", "name", "clips", "average", "precision"]
    # Five labels, on four videos.
    assert lines[-1].split() == ["mean", "of", "classes", "4", "75.0", "%"]
    assert "top" not in text


def test_captions_name_the_class_or_the_classes():
    batch = {"label": np.array([2, 0]), "index": np.array([5, 11])}
    assert pictures._captions(batch, NAMES) == ["curling\nrecord 5", "archery\nrecord 11"]
    labels = np.array([[1, 0, 1], [0, 0, 0]], np.uint8)
    assert pictures._captions({"labels": labels, "index": np.array([5, 11])}, NAMES) == [
        "archery, curling\nrecord 5",
        "no class\nrecord 11",
    ]
    many = {"labels": np.ones((1, 9), np.uint8), "index": np.array([0])}
    (caption,) = pictures._captions(many, tuple("abcdefghi"))
    assert caption == "a, b, c, d, e + 4 more\nrecord 0"
