"""vidtx against what transformers and timm compute, from the committed goldens."""

import functools

import numpy as np
import pytest

from . import converted, foreign, make_goldens

# Gradients of these need programs of their own, and show what those of the others do.
SLOW = {(model, case) for model in foreign.SCHEMES for case in foreign.GRIDS}
SLOW -= {(model, case) for model in foreign.SCHEMES for case in ("trained", "fewer_frames", "both")}
SLOW |= {("space_only", "fewer_frames")}  # whose frames never meet
CASES = [
    pytest.param(model, case, id=f"{model}-{case}")
    for model in make_goldens.MODELS
    for case in make_goldens.grids_of(model)
]


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Returns f(model, kind) -> source of its seeded ``weights`` or ``directions``, read once."""

    @functools.cache
    def read(model, kind):
        arrays = getattr(foreign, kind)(foreign.shapes_of(model))
        return converted.read(tmp_path_factory.mktemp(model), model, arrays)

    return read


@functools.cache
def stored(model):
    with np.load(make_goldens.FOLDER / f"{model}.npz") as file:
        return dict(file)


@pytest.mark.parametrize("model", make_goldens.MODELS)
def test_the_seeded_weights_are_those_of_the_goldens(model):
    arrays = foreign.weights(foreign.shapes_of(model))
    golden = float(stored(model)["checksum"])
    assert make_goldens.checksum(arrays) == pytest.approx(golden, abs=1e-9)


@pytest.mark.parametrize(("model", "case"), [case for case in CASES if case.values in SLOW])
def test_logits(read, model, case):
    clips = foreign.clips(foreign.GRIDS[case])
    found = converted.logits(read(model, "weights"), clips)
    converted.assert_near(found, stored(model)[f"{case}/logits"])


@pytest.mark.parametrize(
    ("model", "case"),
    [
        pytest.param(*case.values, id=case.id, marks=[pytest.mark.slow] * (case.values in SLOW))
        for case in CASES
    ],
)
def test_logits_and_gradients(read, model, case):
    golden = {name: stored(model)[f"{case}/{name}"] for name in ("logits", "gradients", "largest")}
    names = make_goldens.names_of(model)
    kept = dict(zip(names, golden["gradients"], strict=True))
    largest = dict(zip(names, golden["largest"], strict=True))

    clips = foreign.clips(make_goldens.grids_of(model)[case])
    source, along = read(model, "weights"), dict(read(model, "directions").params)
    along |= foreign.directions({"clips": clips.shape})
    logits, gradients = converted.logits_and_gradients(source, clips, foreign.logits_gradient())
    converted.assert_near(logits, golden["logits"], "logits")

    # Converting moves elements and changes none. So it keeps the product of gradient and direction,
    # and the sum of them where several of a library's arrays make one of ours.
    theirs = {entry.ours: entry.theirs for entry in source.report.entries} | {"clips": ("clips",)}
    assert sorted(name for used in theirs.values() for name in used) == sorted(names)
    for ours, gradient in gradients.items():
        direction = np.asarray(along[ours], np.float64)
        expected = sum(kept[name] for name in theirs[ours])
        # One element that is off by the largest magnitude moves it by 1/√n of this, or more.
        length = max(largest[name] for name in theirs[ours]) * np.linalg.norm(direction)
        found = (gradient * direction).sum()
        assert found == pytest.approx(expected, rel=0, abs=converted.RELATIVE * length), ours
