import json

import jax
import numpy as np
import pytest

from data_pipelines.clips import EvalClips
from data_pipelines.loader import eval_batches
from data_pipelines.records import open_split
from tests import tiny_run
from tests.evaluation.looked_up import (
    EXAMPLES,
    VIEWS,
    LookedUp,
    batches,
    examples,
    extreme_videos,
    judge,
    plain,
    reference,
    step_of,
    table,
)
from vidtx import create_model
from vidtx.config import resolve
from vidtx.evaluation import evaluate, make_eval_step
from vidtx.models import normalize
from vidtx.run.data import clip_spec
from vidtx.sharding import make_mesh


@pytest.fixture(scope="module")
def mesh():
    spec = resolve(tiny_run.tiny_config("data"))
    return make_mesh(spec.mesh)


def check(found, expected):
    figures, count, confusion = expected
    assert found["examples"] == count == EXAMPLES - 3
    assert found["failed"] == 3
    assert found["top1"] == pytest.approx(figures["top1"], abs=1e-12)
    assert found["top5"] == pytest.approx(figures["top5"], abs=1e-12)
    assert found["loss"] == pytest.approx(figures["loss"], rel=1e-5)
    np.testing.assert_array_equal(found["confusion"], confusion)


@pytest.mark.parametrize("size", [1, 3, 7, 64])
def test_every_video_counts_once_whatever_the_batch(mesh, size):
    check(plain(judge(size, mesh)), reference())


def test_every_video_counts_once_on_any_number_of_devices():
    everywhere = tiny_run.run_program("tests.evaluation.looked_up", devices=8)
    assert len(everywhere) == 12
    first, *others = everywhere.values()
    for found in everywhere.values():
        check(found, reference())
        for name, videos in extreme_videos().items():
            assert [video["index"] for video in found[name]] == [video["index"] for video in videos]
    for found in others:
        exact = ("examples", "failed", "top1", "top5", "confusion")
        assert [found[name] for name in exact] == [first[name] for name in exact]


def test_views_may_be_averaged_as_probabilities_or_as_logits(mesh):
    both = {average: reference(average=average) for average in ("softmax", "logits")}
    assert both["softmax"][0] != both["logits"][0]
    for average, expected in both.items():
        check(plain(judge(7, mesh, average=average)), expected)


@pytest.mark.parametrize("num_classes", [1, 2, 4, 5, 6])
def test_few_classes(mesh, num_classes):
    found = judge(16, mesh, num_classes=num_classes)
    check(plain(found), reference(num_classes))
    if num_classes <= 5:
        assert found.top5 == 1.0
    if num_classes == 1:
        assert found.top1 == 1.0
        assert found.loss == pytest.approx(0.0, abs=1e-6)


def test_a_model_without_an_opinion_ranks_classes_by_number(mesh):
    found = judge(16, mesh, given=np.zeros((256, 7), np.float32))
    assert found.confusion[:, 1:].sum() == 0
    assert found.top1 == found.confusion[0, 0] / found.examples
    assert found.top5 == found.confusion[:5].sum() / found.examples
    assert found.loss == pytest.approx(np.log(7), rel=1e-6)


def test_a_model_that_has_diverged_is_not_right(mesh):
    found = judge(16, mesh, given=np.full((256, 7), np.nan, np.float32))
    assert found.top1 < 0.5
    assert found.top5 < 1.0


def test_no_video_at_all_has_no_accuracy(mesh):
    spec = resolve(tiny_run.tiny_config("data"))
    step = make_eval_step(spec, None, mesh)
    found = evaluate(step, {}, [], step=0, class_names=("a", "b"), mesh=mesh)
    assert found.examples == 0
    assert np.isnan([found.top1, found.top5, found.loss]).all()
    assert found.confusion.tolist() == [[0, 0], [0, 0]]


def test_classes_are_counted_apart(mesh):
    found = judge(16, mesh)
    _, _, confusion = reference()
    np.testing.assert_array_equal(found.class_counts, confusion.sum(axis=1))
    np.testing.assert_allclose(found.class_scores, np.diagonal(confusion) / confusion.sum(axis=1))


def test_the_figures_of_a_line_of_metrics(mesh):
    found = judge(16, mesh)
    assert not found.multi_label
    assert (found.score_name, found.score) == ("top1", found.top1)
    assert found.figures() == {
        "eval/top1": found.top1,
        "eval/top5": found.top5,
        "eval/loss": found.loss,
        "eval/examples": 47,
        "eval/failed": 3,
    }


def test_what_was_found_fits_into_json(mesh):
    found = judge(64, mesh, num_classes=40)
    assert (found.class_counts == 0).any()  # a class of which there is no video
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert text["step"] == 12
    assert text["class_names"][39] == "class 39"
    assert [a is None for a in text["accuracies"]] == [c == 0 for c in text["counts"]]
    assert np.sum(text["confusion"]) == text["examples"]


def test_evaluation_can_be_stopped_between_batches(mesh):
    spec = resolve(tiny_run.tiny_config("data"))
    step = make_eval_step(spec, None, mesh)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(step, {}, [{}], step=0, class_names=("a",), mesh=mesh, between=stop)


def test_a_real_model_on_real_videos(tiny_config, mesh):
    options = {"eval.temporal_views": 2, "eval.spatial_crops": 3}
    spec = resolve(tiny_config(**options))
    source = open_split(spec.data.name, spec.data.eval_split, spec.data.data_dir)
    model = create_model(
        "timesformer_ti8", num_classes=8, num_frames=4, image_size=32, embed_dim=8, depth=1,
        num_heads=2, scheme="joint",
    )  # fmt: skip
    params = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 4, 32, 32, 3)))["params"]
    params = jax.tree.map(
        lambda leaf: leaf.unbox(), params, is_leaf=lambda leaf: hasattr(leaf, "unbox")
    )
    # Loud enough for its opinions to differ.
    params["embedding"]["patch"]["kernel"] *= 30
    params["head"]["kernel"] *= 50
    step = make_eval_step(spec, model, mesh)
    with eval_batches(source, clip_spec(spec), global_batch=5) as batches:
        found = evaluate(step, params, batches, step=0, class_names=source.class_names, mesh=mesh)

    confusion, loss = np.zeros((8, 8), int), 0.0
    with eval_batches(source, clip_spec(spec), global_batch=len(source)) as batches:
        (batch,) = batches
    clips = normalize(batch["video"].reshape(-1, 4, 32, 32, 3), spec.data.mean, spec.data.std)
    logits = np.asarray(jax.jit(model.apply)({"params": params}, clips), np.float64)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = scores.reshape(len(source), 6, 8).mean(axis=1)
    for score, label in zip(scores, batch["label"], strict=True):
        confusion[label, score.argmax()] += 1
        loss -= np.log(score[label]) / len(source)
    assert found.examples == len(source) == 16
    assert len(set(scores.argmax(axis=1))) > 1
    np.testing.assert_array_equal(found.confusion, confusion)
    assert found.loss == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("average", ["softmax", "logits"])
def test_views_count_by_their_weights(mesh, average):
    """Videos of one, two and three views; what the model says about the others does not count."""
    pixels, labels, weights = examples(7)
    used = np.arange(EXAMPLES) % VIEWS + 1
    view_weight = (np.arange(VIEWS) < used[:, None]).astype(np.float32)
    view_weight[[3, 17]] = 0  # unreadable: no view at all
    lost = np.where(view_weight > 0, pixels, 255)
    values = table(7)
    values[255] = np.nan

    def judged(pixels, view_weight, values):
        options = {"label": labels, "view_weight": view_weight}
        found = evaluate(
            step_of(LookedUp(7), mesh, **{"eval.average": average}),
            {"table": values},
            batches(16, mesh, pixels, weights, **options),
            step=0,
            class_names=tuple("abcdefg"),
            mesh=mesh,
        )
        return plain(found)

    found = judged(lost, view_weight, values)
    # The same opinions with equal weights: each view of a video as often as the others.
    often = np.stack([np.resize(row[:count], 6) for row, count in zip(pixels, used, strict=True)])
    expected = judged(often, np.full((EXAMPLES, 6), 0.25, np.float32), table(7))
    loss = expected.pop("loss")
    assert found.pop("loss") == pytest.approx(loss, rel=1e-5)
    assert found == expected
    # Equal weights are as good as none.
    check(judged(pixels, np.ones((EXAMPLES, VIEWS), np.float32), table(7)), reference(7, average))


def test_channels_are_fed_in_the_run_s_order(mesh):
    """The looked-up model takes a clip's first channel."""
    pixels, labels, weights = examples(7)
    step = step_of(LookedUp(7), mesh, **{"data.channel_order": "bgr"})

    def blue(batch):
        video = np.zeros_like(batch["video"])
        video[..., 2] = batch["video"][..., 0]
        return {**batch, "video": video}

    found = evaluate(
        step,
        {"table": table(7)},
        map(blue, batches(16, mesh, pixels, weights, label=labels)),
        step=0,
        class_names=tuple("abcdefg"),
        mesh=mesh,
    )
    check(plain(found), reference())


def test_videos_covered_by_their_views(tiny_config, mesh):
    """From records to views with weights, and through the evaluation."""
    options = {"eval.temporal_views": 3, "eval.temporal_position": "cover", "data.stride": 3}
    spec = resolve(tiny_config(**options))
    source = open_split(spec.data.name, spec.data.eval_split, spec.data.data_dir)
    views = EvalClips(source, clip_spec(spec))
    rows = [views(position) for position in range(18)]  # of 16, and padding
    keys = {"video", "label", "weight", "failed", "view_weight"}
    batch = {key: np.stack([np.asarray(row[key]) for row in rows]) for key in keys}
    batch["weight"] = batch["weight"].astype(np.float32)
    used = batch["view_weight"].sum(1)
    assert (used[:16] == used[0]).all()
    assert 0 < used[0] < 3
    found = evaluate(
        step_of(LookedUp(8), mesh, **options),
        {"table": table(8)},
        [batch],
        step=0,
        class_names=source.class_names,
        mesh=mesh,
    )
    pixels = batch["video"][:16, : int(used[0]), 0, 0, 0, 0]
    scores = np.exp(table(8).astype(np.float64))[pixels]
    scores = (scores / scores.sum(-1, keepdims=True)).mean(1)
    loss = -np.log(scores[np.arange(16), batch["label"][:16]]).mean()
    assert found.examples == 16
    assert found.loss == pytest.approx(loss, rel=1e-5)


def test_the_reference_tells_tables_apart():
    assert not np.array_equal(table(7)[1], table(7)[2])
    assert 0 < reference()[0]["top1"] < reference()[0]["top5"] < 1
