"""What of weights goes into a model of another scheme, other sizes or other classes."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import tiny
from tests.weights import sources
from vidtx.config.training_specs import RESIZES as OPTIONS
from vidtx.errors import CheckpointError
from vidtx.inference.load import nested
from vidtx.models import SCHEMES
from vidtx.weights import Report, fit
from vidtx.weights.match import match, parameter_shapes
from vidtx.weights.resize import RESIZES

GRID = tiny.GRID


def fates(report):
    """Fate and way of each array of the model."""
    return {entry.ours: (entry.fate, entry.how) for entry in report.entries if entry.ours}


def dropped(report):
    return {name: entry.how for entry in report.of("dropped") for name in entry.theirs}


def test_the_same_model_gets_the_very_arrays():
    source = sources.of("divided")
    fitted = fit(source, tiny.create("divided"))
    assert fitted.taken.keys() == source.params.keys()
    assert all(fitted.taken[name] is leaf for name, leaf in source.params.items())
    assert fitted.report.counts == dict.fromkeys(fitted.report.counts, 0) | {
        "used": len(source.params)
    }
    # Told by the names of the file.
    assert {entry.theirs for entry in fitted.report.entries} == {
        (f"file/{name}",) for name in source.params
    }
    params = nested(dict.fromkeys(source.params))
    over = fitted.over(jax.tree.map(lambda _: 0, params, is_leaf=lambda leaf: leaf is None))
    np.testing.assert_array_equal(over["head"]["bias"], source.params["head.bias"])


def test_arrays_of_devices_stay_where_they_are():
    source = sources.image()
    params = {name: jnp.asarray(leaf) for name, leaf in source.params.items()}
    model = tiny.create("divided", (8, 3, 4))
    taken = fit(dataclasses.replace(source, params=params), model).taken
    assert taken["norm.scale"] is params["norm.scale"]
    assert taken["block_0.time.norm.scale"] is params["block_0.norm1.scale"]
    expected = fit(source, model).taken
    assert isinstance(taken["embedding.position"], np.ndarray)
    jax.tree.map(np.testing.assert_array_equal, taken, expected)


def test_every_scheme_from_every_scheme_with_every_array_accounted_for():
    models = {scheme: tiny.create(scheme) for scheme in SCHEMES}
    shapes = {scheme: parameter_shapes(model) for scheme, model in models.items()}
    for there, here in itertools.product(tiny.SCHEMES, SCHEMES):
        source = sources.of(there)
        fitted = fit(source, models[here])
        ours = [entry.ours for entry in fitted.report.entries if entry.ours]
        assert sorted(ours) == sorted(shapes[here]), (there, here)
        accounted = {name for entry in fitted.report.entries for name in entry.theirs}
        assert accounted == {f"file/{name}" for name in source.params}, (there, here)
        new = {entry.ours for entry in fitted.report.of("new")}
        assert fitted.taken.keys() == shapes[here].keys() - new
        for name, leaf in fitted.taken.items():
            assert (leaf.shape, leaf.dtype) == (shapes[here][name].shape, np.float32)
        added = {step.name for step in SCHEMES[here].added_steps}
        lacked = added - {step.name for step in SCHEMES[there].added_steps}
        expected = {
            f"block_{block}.{step}.fc.{part}"
            for block in range(tiny.DEPTH) for step in lacked for part in ("kernel", "bias")
        }  # fmt: skip
        assert new - {"embedding.time"} == expected, (there, here)


def test_from_divided_to_axial_time_is_kept_and_width_copied():
    source = sources.of("divided")
    fitted = fit(source, tiny.create("axial"))
    params = source.params
    for block in ("block_0", "block_1"):
        assert fitted.taken[f"{block}.time.fc.kernel"] is params[f"{block}.time.fc.kernel"]
        for ours, theirs in (
            ("width.norm.scale", "norm1.scale"),
            ("width.norm.bias", "norm1.bias"),
            ("width.attention.qkv.kernel", "attention.qkv.kernel"),
            ("width.attention.qkv.bias", "attention.qkv.bias"),
            ("width.attention.out.kernel", "attention.out.kernel"),
            ("width.attention.out.bias", "attention.out.bias"),
        ):
            assert fitted.taken[f"{block}.{ours}"] is params[f"{block}.{theirs}"]
            assert fates(fitted.report)[f"{block}.{ours}"] == (
                "copied",
                "the weights have no width step",
            )
    assert fates(fitted.report)["block_1.width.fc.bias"] == (
        "new",
        "zero, so that the step does nothing at first",
    )
    (note,) = fitted.report.notes
    assert note == "The weights were trained with divided attention, and the model has axial."


def test_steps_that_the_model_lacks_are_dropped():
    report = fit(sources.of("axial"), tiny.create("sparse_local_global")).report
    assert dropped(report)["file/block_1.width.fc.kernel"] == (
        "sparse_local_global attention has no width step"
    )
    assert report.counts["dropped"] == 2 * tiny.DEPTH * 8


def test_embeddings_that_either_side_lacks():
    model = tiny.create("joint", position_embedding="none")
    report = fit(sources.of("joint"), model).report
    assert dropped(report) == {
        "file/embedding.position": "the model has no position embedding",
        "file/embedding.time": "the model has no time embedding",
    }
    found = fates(fit(sources.of("joint", position="none"), tiny.create("joint")).report)
    assert found["embedding.position"] == (
        "new",
        "normal with standard deviation 0.02; the weights have none",
    )
    assert found["embedding.time"] == ("new", "zero; the weights have none")
    later = tiny.create("joint", time_init_stddev=0.1)
    assert fates(match(sources.image(), later))["embedding.time"][1].startswith("normal with")
    assert "file/embedding.time" in dropped(fit(sources.of("joint"), tiny.create("space")).report)


def test_a_model_of_another_size_computes_what_the_original_does_when_it_is_fed_that_size():
    grid = (6, 3, 6)
    source = sources.of("divided", depth=1)
    fitted = fit(source, tiny.create("divided", grid, depth=1))
    assert fates(fitted.report)["embedding.position"] == (
        "resized",
        "2×4 → 3×6 patches, nearest in 2-D",
    )
    assert fates(fitted.report)["embedding.time"] == ("resized", "4 → 6 frames, the nearest")
    clips = tiny.clips(grid)
    there = tiny.forward(tiny.create("divided", depth=1))(nested(source.params), clips)
    here = tiny.forward(tiny.create("divided", grid, depth=1))(nested(fitted.taken), clips)
    np.testing.assert_array_equal(here, there)


def test_how_a_file_was_read_is_told_with_what_became_of_it():
    """Of a distilled DeiT a row of positions is left out as it is read, and the rest is used."""
    source = sources.image()
    how = {"embedding.position": "a row left out", "head.kernel": "transposed"}
    read = [
        dataclasses.replace(
            entry,
            fate="resized" if entry.ours == "embedding.position" else "used",
            how=how.get(entry.ours, ""),
        )
        for entry in source.report.entries
    ]
    source = dataclasses.replace(source, report=Report(tuple(read)))
    same = fit(source, tiny.create("space", (1, *GRID[1:]))).report
    (resized,) = same.of("resized")
    assert (resized.ours, resized.how) == ("embedding.position", "a row left out")
    assert fates(same)["head.kernel"] == ("used", "transposed")
    assert same.counts["used"] == len(source.params) - 1
    other = fit(source, tiny.create("space", (1, 3, 5)).clone(num_classes=7)).report
    (resized,) = other.of("resized")
    assert resized.how.startswith("a row left out; ")
    # How it was read is nothing to whoever is told why it was not taken.
    assert dropped(other)["file/head.kernel"] == "it is of 5 classes, and the model has 7"


def test_a_grid_of_as_many_patches_is_another_one():
    """Which the authors' loader, which compares numbers alone, does not see."""
    source, model = sources.of("joint", (4, 2, 6)), tiny.create("joint", (4, 3, 4))
    assert fates(match(source, model))["embedding.position"][0] == "resized"
    report = match(source, model, resize="nearest_1d")
    assert fates(report)["embedding.position"] == (
        "used",
        "2×6 → 3×4 patches, as they are, being as many (nearest_1d)",
    )


def test_the_way_to_resize_is_told_and_must_be_one():
    assert RESIZES == OPTIONS
    model = tiny.create("space", (1, 3, 5))
    for way in RESIZES:
        (entry,) = fit(sources.image(), model, resize=way).report.of("resized")
        assert ("authors' loader" if way == "nearest_1d" else f"{way} in 2-D") in entry.how
    with pytest.raises(ValueError, match="resize is 'linear'; it must be one of nearest, "):
        fit(sources.image(), model, resize="linear")


def test_the_head_is_taken_if_it_fits_and_is_wanted():
    source = sources.of("joint")
    model = tiny.create("joint")
    assert fates(fit(source, model).report)["head.kernel"] == ("used", "")
    left = fit(source, model, keep_head=False)
    assert "head.bias" not in left.taken
    why = "it is left out"
    assert fates(left.report)["head.kernel"] == (
        "new",
        f"normal with standard deviation 0.02; {why}",
    )
    assert fates(left.report)["head.bias"] == ("new", f"zero; {why}")
    assert dropped(left.report) == {"file/head.kernel": why, "file/head.bias": why}
    other = fit(source, model.clone(num_classes=7)).report
    assert dropped(other)["file/head.bias"] == "it is of 5 classes, and the model has 7"
    headless = fit(sources.of("joint", head=False), model).report
    assert fates(headless)["head.bias"] == ("new", "zero; the weights have no head")
    assert headless.counts["dropped"] == 0


def test_all_that_does_not_fit_is_told_at_once_with_both_values():
    source = sources.of("divided", depth=3, dim=24)
    model = tiny.create("divided", num_heads=4).clone(patch_size=2)
    with pytest.raises(CheckpointError) as caught:
        fit(source, model)
    message = str(caught.value)
    for line in (
        "embed_dim: 24 there, 16 in the model",
        "depth: 3 there, 2 in the model",
        "num_heads: 2 there, 4 in the model",
        "patch_size: 4 there, 2 in the model",
        "block_*.mlp.fc1.kernel (×2): float32[24, 96] there, float32[16, 64] in the model",
        "block_*.mlp.fc1.kernel: float32[24, 96] there, absent in the model",
        "embedding.patch.kernel: float32[4, 4, 3, 24] there, float32[2, 2, 3, 16] in the model",
        "norm.scale: float32[24] there, float32[16] in the model",
    ):
        assert f"  - {line}\n" in message
    assert "embed_dim=24, depth=3, num_heads=2: give the model these" in message
    # Heads alone are in no shape.
    with pytest.raises(CheckpointError) as caught:
        match(sources.of("divided"), tiny.create("divided", num_heads=4))
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
    assert lines == ["  - num_heads: 2 there, 4 in the model"]


def test_arrays_of_another_name_or_type_are_told():
    source = sources.of("joint")
    params = dict(source.params)
    params["norm.shift"] = params.pop("norm.bias")
    params["norm.scale"] = params["norm.scale"].astype(np.float16)
    params["block_0.time.fc.bias"] = params["norm.shift"]
    with pytest.raises(CheckpointError) as caught:
        fit(dataclasses.replace(source, params=params), tiny.create("joint"))
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
    assert lines == [
        "  - block_*.time.fc.bias: float32[16] there, absent in the model",
        "  - norm.bias: absent there, float32[16] in the model",
        "  - norm.scale: float16[16] there, float32[16] in the model",
        "  - norm.shift: float32[16] there, absent in the model",
    ]
