import json

import numpy as np
import pytest

from tests import tiny_run
from tests.evaluation import looked_up
from tests.evaluation.ranked import (
    CLASSES,
    UNSEEN,
    average_precision,
    examples,
    judge,
    reference,
    table,
)
from vidtx.config import resolve
from vidtx.evaluation import average_precisions, average_views, evaluate
from vidtx.sharding import make_mesh


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(resolve(tiny_run.tiny_config("data")).mesh)


def check(found, expected):
    for name, value in expected.items():
        if name in ("examples", "failed", "counts"):
            assert found[name] == value
        elif name == "loss":
            assert found[name] == pytest.approx(value, rel=1e-5)
        else:
            assert found[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("size", [1, 3, 16, 64])
def test_every_video_counts_once_whatever_the_batch(mesh, size):
    check(judge(size, mesh).to_dict(), reference())


def test_results_are_equal_for_any_batch(mesh):
    first, *others = (judge(size, mesh).to_dict() for size in (1, 3, 16))
    assert others == [first, first]


def test_every_video_counts_once_on_any_number_of_devices():
    everywhere = tiny_run.run_program("tests.evaluation.ranked", devices=8)
    assert len(everywhere) == 12
    first = next(iter(everywhere.values()))
    for found in everywhere.values():
        check(found, reference())
        # What is said of single videos is as exact as the devices' arithmetic.
        same = {**found, **{name: first[name] for name in ("loss", "best", "worst")}}
        assert same == first
        for name in ("best", "worst"):
            assert [v["index"] for v in found[name]] == [v["index"] for v in first[name]]


def test_two_processes_find_the_same_each_from_its_own_rows(tmp_path):
    (found, other), *_ = tiny_run.run_two_processes("tests.evaluation.of_two_processes", tmp_path)
    assert found == other
    # Rows of their own, and rows that they share.
    for kind in ("single", "multi"):
        shared, own = found[f"{kind}, shared"], found[kind]
        told = {name: shared[name] for name in ("best", "worst")}
        assert shared == {**own, **told, "loss": pytest.approx(own["loss"], rel=1e-6)}
        for name, videos in told.items():
            assert [v["index"] for v in videos] == [v["index"] for v in own[name]]
            assert len(videos) >= 6
    check(found["multi"], reference())
    figures, count, confusion = looked_up.reference()
    # Failed videos of either process's rows.
    assert (found["single"]["examples"], found["single"]["failed"]) == (count, 3)
    assert found["single"]["confusion"] == confusion.tolist()
    assert found["single"]["top1"] == pytest.approx(figures["top1"], abs=1e-12)


def test_views_may_be_averaged_as_probabilities_or_as_logits(mesh):
    both = {average: reference(average) for average in ("softmax", "logits")}
    assert both["softmax"]["map"] != both["logits"]["map"]
    for average, expected in both.items():
        check(judge(7, mesh, average=average).to_dict(), expected)


def test_averaged_views_have_the_averaged_probabilities():
    logits = np.random.RandomState(0).normal(0, 3, (5, 4, 3)).astype(np.float32)
    mean = (1 / (1 + np.exp(-logits.astype(np.float64)))).mean(axis=1)
    found = np.asarray(average_views(logits, average="softmax", multi_label=True), np.float64)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), mean, rtol=1e-5)
    one = average_views(logits[:, :1], average="softmax", multi_label=True)
    np.testing.assert_array_equal(one, logits[:, 0])


@pytest.mark.parametrize("average", ["softmax", "logits"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_weighted_views_are_weighted_means(average, multi_label):
    random = np.random.RandomState(0)
    logits = random.normal(0, 3, (6, 4, 3)).astype(np.float32)
    weights = random.randint(0, 4, (6, 4)).astype(np.float32)
    weights[:, 2] += 1
    weights[5] = 0  # padding: all alike, and a number
    options = {"average": average, "multi_label": multi_label}
    found = np.asarray(average_views(logits, weights=weights, **options), np.float64)
    shares = np.where(weights.any(1, keepdims=True), weights, 1).astype(np.float64)
    shares = (shares / shares.sum(1, keepdims=True))[..., None]
    exact = logits.astype(np.float64)
    if average == "logits":
        expected = (shares * exact).sum(1)
        if not multi_label:
            expected -= np.log(np.exp(expected).sum(1, keepdims=True))
    elif multi_label:
        yes = (shares / (1 + np.exp(-exact))).sum(1)
        expected = np.log(yes / (1 - yes))
    else:
        expected = np.exp(exact) / np.exp(exact).sum(2, keepdims=True)
        expected = np.log((shares * expected).sum(1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # Whole copies of a video's views weigh as the weights say.
    plain = average_views(np.repeat(logits[:1], 2, 1), **options)
    once = average_views(logits[:1], weights=np.ones((1, 4), np.float32), **options)
    np.testing.assert_allclose(once, plain, rtol=1e-4, atol=1e-5)


def test_videos_that_are_nearly_certain_are_ranked_too():
    """In float32 a probability of 1 - 1e-9 is 1."""
    logits = np.array([[[20.0], [21.0]], [[22.0], [21.0]], [[-40.0], [-41.0]]], np.float32)
    found = np.asarray(average_views(logits, average="softmax", multi_label=True))[:, 0]
    assert found[1] > found[0] + 0.5
    assert found[2] == pytest.approx(-40.38, abs=0.01)


def test_average_precision_by_hand():
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.7, 0.1], [0.6, 0.1]])
    labels = np.array([[1, 1], [0, 0], [1, 0], [0, 0]], bool)
    # First and third of four; all alike: the share of the videos.
    assert average_precisions(scores, labels).tolist() == [(1 + 2 / 3) / 2, 1 / 4]
    # The second and third are equal: two of three are right from there on.
    scores[2, 0] = 0.8
    assert average_precisions(scores, labels)[0] == pytest.approx((1 + 2 / 3) / 2)
    scores[1:, 0] = 0.8
    assert average_precisions(scores, labels)[0] == pytest.approx((1 + 2 / 4) / 2)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_average_precision_against_its_definition(levels):
    random = np.random.RandomState(levels)
    scores = random.randint(0, levels, (60, 4)) / levels - 0.5
    scores[:3] = [np.inf], [-np.inf], [np.inf]
    labels = random.rand(60, 4) < [0.02, 0.3, 0.9, 1.0]
    labels[7] = True
    found = average_precisions(scores, labels)
    expected = [average_precision(scores[:, c], labels[:, c]) for c in range(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    order = random.permutation(60)
    np.testing.assert_array_equal(average_precisions(scores[order], labels[order]), found)


def test_scores_that_are_no_numbers_are_no_merit():
    labels = np.array([[1], [0], [1], [0]], bool)
    lost = np.array([[np.nan], [1.0], [2.0], [3.0]])
    assert average_precisions(lost, labels)[0] == (1 / 2 + 2 / 4) / 2
    hidden = np.array([[1.0], [np.nan], [2.0], [np.nan]])
    assert average_precisions(hidden, labels)[0] == (1 / 3 + 2 / 4) / 2


def test_a_model_that_has_diverged_is_not_right(mesh):
    found = judge(16, mesh, given=np.full((256, CLASSES), np.nan, np.float32))
    shares = found.class_counts / found.examples
    known = found.class_counts > 0
    np.testing.assert_allclose(found.class_scores[known], shares[known])
    assert found.hit1 == 0
    assert np.isnan(found.loss)


def test_classes_without_videos_are_left_out_and_counted(mesh):
    found = judge(16, mesh)
    assert found.classes_without_videos == 1
    assert found.class_counts[UNSEEN] == 0
    assert np.isnan(found.class_scores[UNSEEN])
    assert found.mean_average_precision == np.nanmean(found.class_scores)


def test_the_figures_of_a_line_of_metrics(mesh):
    found = judge(16, mesh)
    assert found.multi_label
    assert (found.score_name, found.score) == ("map", found.mean_average_precision)
    assert found.figures() == {
        "eval/map": found.mean_average_precision,
        "eval/hit1": found.hit1,
        "eval/loss": found.loss,
        "eval/examples": 47,
        "eval/failed": 3,
    }
    assert next(iter(found.figures())) == f"eval/{found.score_name}"


def test_no_video_at_all_has_no_precision(mesh):
    step = looked_up.step_of(None, mesh, **{"data.multi_label": True})
    found = evaluate(step, {}, [], step=0, class_names=("a", "b"), mesh=mesh)
    assert (found.examples, found.failed) == (0, 0)
    assert np.isnan([found.score, found.hit1, found.loss]).all()
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (text["map"], text["average_precisions"]) == (None, [None, None])
    assert text["classes_without_videos"] == 2


def test_videos_without_any_class_have_no_precision_either(mesh):
    _, labels, _ = examples()
    found = judge(16, mesh, labels=np.zeros_like(labels))
    assert found.examples == 47
    assert np.isnan(found.score)
    assert found.hit1 == 0
    assert np.isfinite(found.loss)


def test_what_was_found_fits_into_json(mesh):
    text = json.loads(json.dumps(judge(16, mesh).to_dict(), allow_nan=False))
    assert list(text) == [
        "step", "examples", "failed", "map", "hit1", "loss", "multi_label", "class_names", "counts",
        "failures", "best", "worst", "average_precisions", "classes_without_videos",
    ]  # fmt: skip
    assert text["average_precisions"][UNSEEN] is None


def test_the_reference_has_ties_and_no_near_misses():
    pixels, _, _ = examples()
    assert len({tuple(views) for views in pixels}) < len(pixels) / 2
    scores = (1 / (1 + np.exp(-table().astype(np.float64))))[pixels].mean(axis=1)
    for column in scores.T:
        assert np.diff(np.unique(column)).min() > 1e-5
