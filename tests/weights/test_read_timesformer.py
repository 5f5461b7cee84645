"""TimeSformer of Hugging Face and of files without PyTorch, and what they ask of clips."""

import json

import numpy as np
import pytest

from tests.models import tiny
from tests.weights import published
from vidtx.errors import CheckpointError, ConfigError
from vidtx.weights import Architecture, is_foreign, read_foreign

SCHEMES = ("divided", "joint", "space")


def architecture(scheme):
    return Architecture(
        scheme=scheme,
        embed_dim=tiny.DIM,
        depth=tiny.DEPTH,
        num_heads=published.HEADS,
        patch_size=tiny.PATCH,
        image_size=(published.SIDE, published.SIDE),
        num_frames=published.GRID[0],
        num_classes=tiny.CLASSES,
    )


@pytest.mark.parametrize("base", ["timesformer.", ""])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_folder_of_transformers_is_read_exactly(tmp_path, scheme, base):
    ours = published.params(scheme, published.GRID)
    theirs = published.huggingface(ours, base)
    folder = published.save_folder(tmp_path / "hf", theirs, published.config(scheme))
    assert is_foreign(folder)
    source = read_foreign(folder)
    assert source.layout == "TimeSformer (Hugging Face)"
    assert source.architecture == architecture(scheme)
    published.assert_equal(source.params, ours)
    published.assert_accounted(source, theirs)


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "module.model."])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_official_names_are_read_exactly_with_any_prefix(tmp_path, scheme, prefix):
    ours = published.params(scheme, published.GRID)
    theirs = published.official(ours, prefix)
    source = read_foreign(published.save(tmp_path / "a.safetensors", theirs), num_heads=2)
    published.assert_equal(source.params, ours)
    published.assert_accounted(source, theirs)
    told = any('with its weights under "model_state"' in note for note in source.report.notes)
    assert told == (scheme == "space" and "model." in prefix)
    if scheme == "space":
        # Its names are those of timm's ViT, which other programs keep under model. too.
        assert source.architecture.is_image_model
        assert source.contract["trained_on"] == "images"
        return
    assert source.layout == "TimeSformer (official)"
    assert source.architecture.scheme == scheme
    assert source.architecture.num_frames == published.GRID[0]


def test_what_clips_must_be_is_the_authors_where_nothing_says_otherwise(tmp_path):
    ours = published.params("divided", published.GRID)
    theirs = published.huggingface(ours)
    labels = {"10": "k", **{str(i): name for i, name in enumerate("abcde")}}
    del labels["10"]
    config = published.config("divided", id2label=dict(reversed(labels.items())))
    source = read_foreign(published.save_folder(tmp_path / "hf", theirs, config))
    assert source.contract == {
        "data.mean": [0.45] * 3,
        "data.std": [0.225] * 3,
        "data.channel_order": "rgb",
        "data.frames": 4,
        "data.image_size": [8, 8],
        "data.eval_short_side": 8,
        "model.name": "timesformer_b4",
        "model.scheme": "divided",
        "model.position_embedding": "space_time",
        "model.embed_dim": 16,
        "model.depth": 2,
        "model.num_heads": 2,
        "class_names": [*"abcde"],
    }
    assert read_foreign(tmp_path / "hf", channel_order="bgr").contract["data.channel_order"] == (
        "bgr"
    )


def test_a_preprocessor_tells_how_clips_were_prepared(tmp_path):
    theirs = published.huggingface(published.params("joint", published.GRID))
    folder = tmp_path / "hf"
    for processor, mean, std in (
        ({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5] * 3}, [0.1, 0.2, 0.3], [0.5] * 3),
        ({"image_mean": 0.5, "image_std": 0.25}, [0.5] * 3, [0.25] * 3),
        (
            {"image_mean": [1.0] * 3, "image_std": [1.0] * 3, "rescale_factor": 2 / 255},
            [0.5] * 3,
            [0.5] * 3,
        ),
        (
            {"image_mean": [51.0] * 3, "image_std": [255.0] * 3, "do_rescale": False},
            [0.2] * 3,
            [1.0] * 3,
        ),
        ({"do_normalize": False}, [0.0] * 3, [1.0] * 3),
    ):
        processor["size"] = {"shortest_edge": 10}
        published.save_folder(folder, theirs, published.config("joint"), processor)
        source = read_foreign(folder)
        assert source.contract["data.mean"] == pytest.approx(mean)
        assert source.contract["data.std"] == pytest.approx(std)
        assert source.contract["data.eval_short_side"] == 10
        assert "class_names" not in source.contract  # LABEL_0 is no name
        assert any("the authors trained with 0.45" in note for note in source.report.notes)
    processor["size"] = {"longest_edge": 10}  # which says nothing of the shorter one
    published.save_folder(folder, theirs, published.config("joint"), processor)
    assert read_foreign(folder).contract["data.eval_short_side"] == 8
    del processor["size"]
    processor["crop_size"] = {"height": 9, "width": 8}
    published.save_folder(folder, theirs, published.config("joint"), processor)
    assert read_foreign(folder).contract["data.eval_short_side"] == 8


def test_what_vidtx_put_on_record_is_read_again(tmp_path):
    theirs = published.huggingface(published.params("joint", published.GRID))
    recorded = {
        "data.channel_order": "bgr",
        "data.stride": 16,
        "data.frames": 99,
        "class_names": ["of another head"],
        "dataset": "motions",
    }
    config = published.config("joint", vidtx={"contract": recorded})
    processor = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    folder = published.save_folder(tmp_path / "hf", theirs, config, processor)
    source = read_foreign(folder)
    contract = source.contract
    assert contract["data.channel_order"] == "bgr"
    assert contract["data.stride"] == 16
    assert contract["dataset"] == "motions"
    assert contract["data.frames"] == published.GRID[0]
    assert contract["data.mean"] == [0.5] * 3
    assert "class_names" not in contract
    assert not source.report.notes
    assert read_foreign(folder, channel_order="rgb").contract["data.channel_order"] == "rgb"
    recorded |= {"data.channel_order": "gbr", "data.stride": -1, "data.target_fps": "fast"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as error:
        read_foreign(folder)
    for part in ("data.channel_order 'gbr'; it must be rgb or bgr", "stride -1", "fps 'fast'"):
        assert part in str(error.value)


def test_models_of_something_something_ask_for_bgr(tmp_path):
    ours = published.params("joint", published.GRID)
    ours["head.kernel"] = tiny.uniform("k", (16, 174), 1.0)
    ours["head.bias"] = tiny.uniform("b", (174,), 1.0)
    labels = {str(i): f"LABEL_{i}" for i in range(174)}
    config = published.config("joint", id2label=labels)
    folder = published.save_folder(tmp_path / "hf", published.huggingface(ours), config)
    source = read_foreign(folder)
    assert source.contract["data.channel_order"] == "bgr"
    assert any('channel_order="rgb" says otherwise' in note for note in source.report.notes)
    source = read_foreign(folder, channel_order="rgb")
    assert source.contract["data.channel_order"] == "rgb"
    assert not any("blue" in note for note in source.report.notes)


def test_all_that_vidtx_does_not_have_is_one_error(tmp_path):
    theirs = published.huggingface(published.params("divided", published.GRID))
    config = published.config(
        "divided",
        hidden_act="gelu_new",
        qkv_bias=False,
        num_channels=1,
        intermediate_size=60,
        layer_norm_eps=1e-5,
        patch_size=[4, 8],
        num_frames=5,
        image_size=12,
        num_attention_heads=3,
        num_hidden_layers=3,
        hidden_size=15,
        id2label={"0": "a"},
    )
    with pytest.raises(CheckpointError) as error:
        read_foreign(published.save_folder(tmp_path / "hf", theirs, config))
    message = str(error.value)
    for part in (
        "hidden_act is 'gelu_new'",
        "qkv_bias is false",
        "num_channels is 1",
        "layer_norm_eps is 1e-05",
        "patches must be square",
        "num_frames 5, and the weights are of 4",
        "image_size (12, 12), and the weights are of 4 patches",
        "num_heads is 3; it must be a divisor of the width 16",
        "depth 3, and the weights are of 2",
        "embed_dim 15, and the weights are of 16",
        "num_classes 1, and the weights are of 5",
    ):
        assert part in message
    config = published.config("divided", intermediate_size=60, attention_type="axial")
    with pytest.raises(CheckpointError) as error:
        read_foreign(published.save_folder(tmp_path / "hf", theirs, config))
    assert "intermediate_size is 60; it must be 4 · hidden_size, 64" in str(error.value)
    assert "attention_type is 'axial'" in str(error.value)


def test_shards_are_read_as_one_file(tmp_path):
    ours = published.params("divided", published.GRID)
    theirs = published.huggingface(ours)
    folder = tmp_path / "hf"
    whole = published.save_folder(folder, theirs, published.config("divided"))
    (whole / "model.safetensors").unlink()
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {name: shards[place % 2] for place, name in enumerate(theirs)}
    for shard in shards:
        part = {name: theirs[name] for name in theirs if index[name] == shard}
        published.save(folder / shard, part)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for named in (folder, path):
        assert is_foreign(named)
        source = read_foreign(named)
        assert source.architecture == architecture("divided")
        published.assert_equal(source.params, ours)
        published.assert_accounted(source, theirs)

    extra = {"timesformer.layernorm.else": shards[0]}
    path.write_text(json.dumps({"weight_map": index | extra}))
    with pytest.raises(
        CheckpointError, match=r"not where it says: timesformer\.layernorm\.else in"
    ):
        read_foreign(folder)
    # One array in two shards, and one that the index does not name.
    twice = next(name for name in theirs if index[name] == shards[0])
    part = {name: theirs[name] for name in theirs if index[name] == shards[1]}
    stray = {twice: theirs[twice] + 1, "stray": theirs[twice]}
    published.save(folder / shards[1], part | stray)
    path.write_text(json.dumps({"weight_map": index}))
    with pytest.raises(CheckpointError) as error:
        read_foreign(folder)
    assert f"{twice} in {shards[1]} (by the index in {shards[0]})" in str(error.value)
    assert f"stray in {shards[1]} (by the index in none)" in str(error.value)
    path.write_text(json.dumps({"weight_map": index | {"a": "../a.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside its folder"):
        read_foreign(folder)
    path.write_text("{}")
    with pytest.raises(CheckpointError, match="no index of shards"):
        read_foreign(folder)
    path.write_text(json.dumps({"weight_map": index}))
    (folder / shards[1]).unlink()
    with pytest.raises(CheckpointError, match=f"not beside it: {shards[1]}"):
        read_foreign(folder)


def test_wrong_arguments_are_told_at_once(tmp_path):
    theirs = published.huggingface(published.params("joint", published.GRID))
    folder = published.save_folder(tmp_path / "hf", theirs, published.config("joint"))
    with pytest.raises(ConfigError) as error:
        read_foreign(folder, num_heads=0, image_size=(8, 8, 8), channel_order="yuv")
    assert "num_heads is 0" in str(error.value)
    assert "image_size is (8, 8, 8)" in str(error.value)
    assert "channel_order is 'yuv'" in str(error.value)
    with pytest.raises(CheckpointError, match=r"number of heads is 2 by .*config\.json and 4 by"):
        read_foreign(folder, num_heads=4)


def test_shapes_can_be_had_without_reading(tmp_path):
    ours = published.params("divided", published.GRID)
    path = published.save(tmp_path / "a.safetensors", published.official(ours))
    source = read_foreign(path, num_heads=2, shapes_only=True)
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in source.params.items()} == {
        name: (array.shape, np.float32) for name, array in ours.items()
    }
    assert source.report == read_foreign(path, num_heads=2).report
