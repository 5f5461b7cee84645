"""The best and the worst judged videos, against a sort over all of them."""

import json

import numpy as np
import pytest

from tests import tiny_run
from tests.evaluation import looked_up, ranked
from vidtx.config import resolve
from vidtx.evaluation import evaluate
from vidtx.sharding import make_mesh


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(resolve(tiny_run.tiny_config("data")).mesh)


def check(found, expected):
    """The same videos in the same order, and what is said of them to rounding."""
    for name in ("best", "worst"):
        assert len(found[name]) == len(expected[name])
        for video, wanted in zip(found[name], expected[name], strict=True):
            assert video.keys() == wanted.keys()
            for key, value in wanted.items():
                assert video[key] == pytest.approx(value, abs=2e-6), (name, key)


@pytest.mark.parametrize("size", [1, 3, 7, 64])
@pytest.mark.parametrize(("num_classes", "right"), [(3, 8), (7, 6)])  # of 7, few are right
def test_they_are_those_of_a_sort_over_all_videos(mesh, size, num_classes, right):
    expected = looked_up.extreme_videos(num_classes)
    assert [len(videos) for videos in expected.values()] == [right, 8]
    check(looked_up.judge(size, mesh, num_classes=num_classes).to_dict(), expected)


def test_videos_that_are_equally_sure_come_by_their_number(mesh):
    found = looked_up.judge(3, mesh, given=np.zeros((256, 7), np.float32))
    _, labels, weights = looked_up.examples(7)
    for videos, chosen in ((found.best, labels == 0), (found.worst, labels != 0)):
        rows = np.flatnonzero(chosen & (weights > 0))[:8]
        assert [video.index for video in videos] == rows.tolist()


def test_where_all_is_right_nothing_is_wrong(mesh):
    found = looked_up.judge(16, mesh, num_classes=1)
    assert found.worst == ()
    assert [video.index for video in found.best] == [0, 1, 2, 4, 5, 6, 7, 8]  # 3 is unreadable


def test_a_model_that_has_diverged_has_neither(mesh):
    found = looked_up.judge(16, mesh, given=np.full((256, 7), np.nan, np.float32))
    assert found.best == found.worst == ()


@pytest.mark.parametrize("size", [3, 64])
def test_of_many_labels_they_are_those_of_the_lowest_and_the_highest_loss(mesh, size):
    found = ranked.judge(size, mesh)
    _, labels, _ = ranked.examples()
    for name, expected in ranked.extreme_videos().items():
        videos = getattr(found, name)
        assert [video.index for video in videos] == [index for index, _ in expected]
        assert [video.loss for video in videos] == pytest.approx([loss for _, loss in expected])
        for video in videos:
            assert video.labels == tuple(np.flatnonzero(labels[video.index]))
            assert list(video.probabilities) == sorted(video.probabilities, reverse=True)


def test_they_are_told_with_probabilities_that_json_has(mesh):
    text = json.loads(json.dumps(looked_up.judge(16, mesh).to_dict(), allow_nan=False))
    first = text["best"][0]
    assert first["label_probabilities"] == first["probabilities"][:1]
    assert first["loss"] == pytest.approx(-np.log(first["probabilities"][0]), abs=1e-5)


def test_without_record_numbers_none_are_kept(mesh):
    pixels, labels, weights = looked_up.examples(7)
    batches = list(looked_up.batches(16, mesh, pixels, weights, label=labels))
    for batch in batches:
        del batch["index"]
    found = evaluate(
        looked_up.step_of(looked_up.LookedUp(7), mesh), {"table": looked_up.table(7)}, batches,
        step=0, class_names=tuple("abcdefg"), mesh=mesh,
    )  # fmt: skip
    assert found.examples == 47
    assert found.best == found.worst == ()
