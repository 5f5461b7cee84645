"""Weights of any source as a model that is ready to be applied."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidtx
from tests.parity import foreign
from vidtx.checkpoints.digests import named_leaves
from vidtx.errors import CheckpointError, ConfigError
from vidtx.inference import convert, load_pretrained
from vidtx.training.state import boxed_params

from . import folders


def shapes(tree):
    return {name: (leaf.shape, leaf.dtype) for name, leaf in named_leaves(tree).items()}


def of_training(model):
    """Shapes of the weights that training has."""
    return jax.eval_shape(lambda: jax.tree.map(
        lambda leaf: leaf.unbox(), boxed_params(model), is_leaf=lambda leaf: hasattr(leaf, "unbox")
    ))  # fmt: skip


def test_a_folder_becomes_a_model_and_what_apply_takes(huggingface):
    folder = huggingface("divided_space_time")
    model, variables = vidtx.load(folder)
    assert (model.scheme, model.token_grid) == ("divided", foreign.TINY.grid)
    assert (model.num_heads, model.num_classes, model.drop_path) == (2, 5, 0.0)
    assert shapes(variables["params"]) == shapes(of_training(model))
    arrays = foreign.weights(foreign.shapes_of("divided_space_time"))
    found = {name: np.asarray(leaf) for name, leaf in named_leaves(variables["params"]).items()}
    assert folders.bits(found) == folders.bits(folders.params(arrays))
    logits = jax.eval_shape(model.apply, variables, foreign.clips(foreign.TINY.grid))
    assert (logits.shape, logits.dtype) == ((2, 5), jnp.float32)


def test_all_that_is_known_comes_with_it(huggingface):
    loaded = load_pretrained(huggingface("joint_space_time"), num_frames=6, image_size=(24, 16))
    assert loaded.contract["class_names"] == [f"class {row}" for row in range(5)]
    assert loaded.contract["data.mean"] == [0.45, 0.45, 0.45]
    assert (loaded.contract["data.frames"], loaded.contract["data.image_size"]) == (6, [24, 16])
    assert loaded.contract["model.scheme"] == loaded.model.scheme == "joint"
    assert loaded.report.counts["resized"] == 2
    assert loaded.source.architecture.num_frames == 4
    names = named_leaves(loaded.variables["params"])
    accounted = [entry.ours for entry in loaded.report.entries if entry.ours is not None]
    assert sorted(accounted) == sorted(names)


def test_image_weights_are_an_image_model_unless_a_video_model_is_asked_for(huggingface):
    folder = huggingface("huggingface_vit")
    model, variables = vidtx.load(folder)
    assert (model.scheme, model.num_frames, model.image_size) == ("space", 1, (16, 16))
    model, variables = vidtx.load(folder, scheme="divided", num_frames=4, num_classes=3)
    block = variables["params"]["block_1"]
    assert not np.any(block["time"]["fc"]["kernel"])
    np.testing.assert_array_equal(
        block["time"]["attention"]["qkv"]["kernel"], block["attention"]["qkv"]["kernel"]
    )
    assert variables["params"]["head"]["kernel"].shape == (24, 3)


def test_pictures_are_prepared_as_is_stated_until_they_are_clips(huggingface, tmp_path):
    folder = tmp_path / "vit"
    shutil.copytree(huggingface("huggingface_vit"), folder)
    keys = ("data.mean", "data.std", "data.channel_order")

    def prepared(path, told=(), **changes):
        loaded = load_pretrained(path, **changes)
        notes = " ".join(loaded.report.notes)
        assert ("Nothing says" in notes, "does not take them over" in notes) == told
        return [loaded.contract[key] for key in keys]

    authors = [[0.45] * 3, [0.225] * 3, "rgb"]
    assert prepared(folder, (True, False)) == authors
    processor = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    images = [[0.5] * 3, [0.25] * 3, "rgb"]
    convert(folder, tmp_path / "a")
    convert(tmp_path / "a", tmp_path / "b", to="huggingface", num_classes=3)
    written = json.loads((tmp_path / "b" / "preprocessor_config.json").read_text())
    assert (written["image_mean"], written["image_std"]) == ([0.5] * 3, [0.25] * 3)
    for path in (folder, tmp_path / "a", tmp_path / "b"):
        assert prepared(path, (False, False)) == images
        changes = {"scheme": "divided", "num_frames": 4}
        assert prepared(path, (False, True), **changes) == authors
    assert prepared(folder, (False, True), num_frames=2) == authors


def test_a_head_that_nothing_has_trained_is_told(huggingface, tmp_path):
    convert(huggingface("joint_space_time"), tmp_path / "a", num_classes=3)
    assert load_pretrained(tmp_path / "a").contract["head_is_new"] is True
    (note,) = load_pretrained(tmp_path / "a").report.notes
    assert f"{tmp_path / 'a'}" in note
    assert "begun at random" in note
    assert "head_is_new" not in load_pretrained(huggingface("joint_space_time")).contract


def test_a_step_may_be_given_the_memory_of_all_of_them(huggingface, tmp_path):
    """Also of those that were copied: of a checkpoint's arrays, which lie on the device already."""
    folder = huggingface("joint_space_time")
    convert(folder, tmp_path / "run")
    for path in (folder, tmp_path / "run"):
        _, variables = vidtx.load(path, scheme="divided")
        leaves = named_leaves(variables)
        expected = {name: np.array(leaf) for name, leaf in leaves.items()}
        kept = jax.jit(lambda tree: tree, donate_argnums=0)(variables)
        assert all(leaf.is_deleted() for leaf in leaves.values())
        jax.tree.map(np.testing.assert_array_equal, named_leaves(kept), expected)


def test_what_is_new_begins_as_training_would_begin_it(huggingface):
    folder = huggingface("space_only")
    model, variables = vidtx.load(folder, num_classes=7, seed=3, attention="xla")
    expected = jax.jit(lambda: boxed_params(model, seed=3)["head"]["kernel"].unbox())()
    np.testing.assert_array_equal(variables["params"]["head"]["kernel"], expected)
    _, other = vidtx.load(folder, num_classes=7, seed=4)
    assert np.any(other["params"]["head"]["kernel"] != expected)


def test_a_model_computes_as_it_is_asked_to(huggingface):
    model, variables = vidtx.load(
        huggingface("divided_space_time"), dtype="bfloat16", attention="xla", scan_layers=True,
        drop_path=0.1, position_embedding="space",
    )  # fmt: skip
    assert (model.dtype, model.attention, model.scan_layers) == (jnp.bfloat16, "xla", True)
    assert model.drop_path == 0.1
    assert "time" not in variables["params"]["embedding"]
    assert variables["params"]["head"]["bias"].dtype == jnp.float32


def test_sizes_that_no_file_says_are_those_asked_for(official):
    with pytest.raises(CheckpointError, match="image_size"):
        vidtx.load(official)
    model, _ = vidtx.load(official, image_size=(16, 24))
    assert (model.image_size, model.num_heads) == ((16, 24), 3)
    assert vidtx.load(official, image_size=(16, 24), num_heads=2)[0].num_heads == 2
    # That is no way to read them: what was wrong at first is told.
    with pytest.raises(CheckpointError, match="sides"):
        vidtx.load(official, image_size=32)


def test_the_order_of_channels_may_be_said(huggingface):
    folder = huggingface("divided_space_time")
    assert load_pretrained(folder).contract["data.channel_order"] == "rgb"
    contract = load_pretrained(folder, channel_order="bgr").contract
    assert contract["data.channel_order"] == "bgr"


def test_names_of_classes_are_those_of_the_head(huggingface):
    folder = huggingface("divided_space_time")
    named = load_pretrained(folder, class_names=list("abcde"))
    assert named.contract["class_names"] == list("abcde")
    assert named.report.counts["new"] == 0
    assert "class_names" not in load_pretrained(folder, num_classes=3).contract
    with pytest.raises(ConfigError, match=r"has 4 names, and the head of .* has 5.*num_classes=4"):
        load_pretrained(folder, class_names=list("abcd"))
    with pytest.raises(ConfigError, match="'a' more than once"):
        load_pretrained(folder, class_names=list("abcda"))
    other = load_pretrained(folder, class_names=list("abc"), num_classes=3)
    assert other.contract["class_names"] == list("abc")


def test_all_that_is_wrong_is_told_at_once(huggingface):
    with pytest.raises(ConfigError) as error:
        vidtx.load(
            huggingface("timm_vit"), num_heads=2, scheme="divded", image_size=17, resize="cubic",
            class_names=["a"], dtype="float16",
        )  # fmt: skip
    for part in ("num_frames=8", "'divded'", "17 is no multiple", "'cubic'", "1 names", "float16"):
        assert part in str(error.value)


def test_another_model_s_weights_are_refused(huggingface):
    with pytest.raises(CheckpointError, match="depth"):
        vidtx.load(huggingface("divided_space_time"), depth=3)
    with pytest.raises(ConfigError, match="no file or folder"):
        vidtx.load("nowhere")
