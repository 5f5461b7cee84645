"""Image models of other libraries, read exactly."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import tiny
from tests.weights import published
from vidtx.errors import CheckpointError
from vidtx.weights import Architecture, read_foreign

OURS = published.params("space")
# On record of every image model.
PICTURES = {"trained_on": "images", "data.channel_order": "rgb"}
ARCHITECTURE = Architecture(
    scheme=None,
    embed_dim=tiny.DIM,
    depth=tiny.DEPTH,
    num_heads=published.HEADS,
    patch_size=tiny.PATCH,
    image_size=(published.SIDE, published.SIDE),
    num_frames=None,
    num_classes=tiny.CLASSES,
)
LAYOUTS = {
    "ViT (timm)": published.timm,
    "ViT (Hugging Face)": published.huggingface_vit,
    "ViT (Hugging Face, names of transformers 5)": published.huggingface_vit_5,
}


@pytest.mark.parametrize("title", LAYOUTS)
def test_safetensors_are_read_exactly(tmp_path, title):
    theirs = LAYOUTS[title](OURS)
    path = published.save(tmp_path / "weights.safetensors", theirs)
    source = read_foreign(path, num_heads=published.HEADS)
    assert source.layout == title
    assert source.path == str(path)
    assert source.architecture == ARCHITECTURE
    assert source.contract == PICTURES
    published.assert_equal(source.params, OURS)
    published.assert_accounted(source, theirs)
    assert source.report.counts["used"] == len(OURS)


@pytest.mark.parametrize("prefix", ["", "params/", "opt/target/"])
def test_googles_npz_is_read_exactly_with_the_heads_of_its_shapes(tmp_path, prefix):
    theirs = published.google(OURS, prefix)
    source = read_foreign(published.save(tmp_path / "B_16.npz", theirs))
    assert source.layout == "ViT (Google's JAX)"
    assert source.architecture == ARCHITECTURE
    assert source.contract == PICTURES
    published.assert_equal(source.params, OURS)
    published.assert_accounted(source, theirs)


def test_what_googles_file_holds_besides_is_dropped_and_told(tmp_path):
    theirs = published.google(OURS, "opt/target/")
    of_model = [*theirs]
    theirs["opt/target/pre_logits/kernel"] = np.zeros((16, 16), np.float32)
    theirs["opt/target/pre_logits/bias"] = np.zeros(16, np.float32)
    for name in of_model:
        theirs[name.replace("target", "state/param_states")] = np.zeros(1, np.float32)
    source = read_foreign(published.save(tmp_path / "in21k.npz", theirs))
    # The head reads pre_logits, so that without it its scores would mean nothing.
    assert source.architecture.num_classes is None
    published.assert_equal(source.params, published.without_head(OURS))
    dropped = {entry.theirs: entry.how for entry in source.report.of("dropped")}
    assert dropped.keys() == {
        ("opt/target/pre_logits/kernel",),
        ("opt/target/pre_logits/bias",),
        ("opt/target/head/kernel",),
        ("opt/target/head/bias",),
        ("opt",),
    }
    assert dropped["opt",] == "the optimiser's state"
    assert "it reads pre_logits" in dropped["opt/target/head/bias",]


def test_prefixes_are_stripped_and_heads_may_be_absent(tmp_path):
    ours = published.without_head(OURS)
    for number, theirs in enumerate(
        (
            published.huggingface_vit(ours, base=""),
            published.huggingface_vit_5(ours, base=""),
            {f"module.{name}": array for name, array in published.timm(ours).items()},
            {f"module._orig_mod.{name}": array for name, array in published.timm(ours).items()},
            published.huggingface_vit(ours, base="_orig_mod.vit."),
        )
    ):
        path = published.save(tmp_path / f"{number}.safetensors", theirs)
        source = read_foreign(path, num_heads=2)
        assert source.architecture.num_classes is None
        assert source.architecture.is_image_model
        published.assert_equal(source.params, ours)


def test_the_pooler_and_the_layer_before_the_head_are_dropped(tmp_path):
    linear = {"weight": np.zeros((16, 16), np.float32), "bias": np.zeros(16, np.float32)}
    for name, theirs in (
        ("pooler.dense", published.huggingface_vit(published.without_head(OURS), base="")),
        ("pre_logits.fc", published.timm(OURS)),
    ):
        added = {f"{name}.{leaf}": array for leaf, array in linear.items()}
        path = published.save(tmp_path / f"{name}.safetensors", theirs | added)
        source = read_foreign(path, num_heads=2)
        heads = {"head.weight", "head.bias"} & theirs.keys()
        dropped = {entry.theirs for entry in source.report.of("dropped")}
        assert dropped == {(key,) for key in added.keys() | heads}
        assert source.architecture.num_classes is None
        published.assert_accounted(source, theirs | added)


def test_a_distilled_deit_leaves_its_second_token(tmp_path):
    vector = np.full((1, 1, 16), 7.0, np.float32)
    libraries = {
        "DeiT, distilled (timm)": (
            published.timm(OURS),
            "pos_embed",
            {
                "dist_token": vector,
                "head_dist.weight": np.zeros((5, 16), np.float32),
                "head_dist.bias": np.zeros(5, np.float32),
            },
        ),
        "DeiT, distilled (Hugging Face)": (
            {
                name.replace("classifier", "cls_classifier"): array
                for name, array in published.huggingface_vit(OURS, "deit.").items()
            },
            "deit.embeddings.position_embeddings",
            {
                "deit.embeddings.distillation_token": vector,
                "distillation_classifier.weight": np.zeros((5, 16), np.float32),
                "distillation_classifier.bias": np.zeros(5, np.float32),
            },
        ),
    }
    for title, (theirs, position, added) in libraries.items():
        rows = theirs[position]
        theirs[position] = np.concatenate([rows[:, :1], vector, rows[:, 1:]], axis=1)
        path = published.save(tmp_path / "deit.safetensors", theirs | added)
        source = read_foreign(path, num_heads=2)
        assert source.layout == title
        published.assert_equal(source.params, OURS)
        published.assert_accounted(source, theirs | added)
        (resized,) = source.report.of("resized")
        assert (resized.ours, resized.theirs) == ("embedding.position", (position,))
        assert "distillation token" in resized.how
        assert {entry.theirs[0] for entry in source.report.of("dropped")} == added.keys()
        assert any("mean of two heads" in note for note in source.report.notes)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_other_floating_points_become_float32(tmp_path, suffix, dtype):
    publish = published.google if suffix == ".npz" else published.timm
    theirs = {name: array.astype(dtype) for name, array in publish(OURS).items()}
    source = read_foreign(published.save(tmp_path / f"half{suffix}", theirs), num_heads=2)
    rounded = {name: array.astype(dtype).astype(np.float32) for name, array in OURS.items()}
    published.assert_equal(source.params, rounded)
    assert all(f"from {np.dtype(dtype)}" in entry.how for entry in source.report.of("used"))


def test_a_folder_of_transformers_tells_heads_and_what_differs(tmp_path):
    # As of Google's models of 21,843 classes: labels of others in the config, and no classifier.
    ours = published.without_head(OURS)
    labels = {str(i): f"a name {i}" for i in range(7)}
    config = published.config(None, id2label=labels, num_attention_heads=4)
    folder = tmp_path / "vit"
    theirs = published.huggingface_vit(ours, base="")
    source = read_foreign(published.save_folder(folder, theirs, config))
    assert source.architecture.num_heads == 4
    assert source.architecture.num_classes is None
    assert any("1e-12" in note for note in source.report.notes)
    assert source.contract == PICTURES
    processor = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"longest_edge": 8}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    prepared = read_foreign(folder)
    assert prepared.contract == PICTURES | {"data.mean": [0.5] * 3, "data.std": [0.25] * 3}
    # The file itself is of that folder; under another name nothing says that it is.
    assert read_foreign(folder / "model.safetensors").architecture.num_heads == 4
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    assert read_foreign(folder / "other.safetensors", num_heads=2).architecture.num_heads == 2


def test_a_folder_of_timm_is_held_against_its_config(tmp_path):
    pretrained = {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 8, 8]}
    config = {
        "architecture": "vit_tiny_patch4_8",
        "num_classes": tiny.CLASSES,
        "global_pool": "token",
        "pretrained_cfg": pretrained,
    }
    folder = published.save_folder(tmp_path / "timm", published.timm(OURS), config)
    source = read_foreign(folder, num_heads=2)
    assert source.architecture == ARCHITECTURE
    assert source.contract == PICTURES | {"data.mean": [0.5] * 3, "data.std": [0.25] * 3}
    changes = {"num_classes": 6, "global_pool": "avg", "model_args": {"act_layer": "quick_gelu"}}
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(CheckpointError) as error:
        read_foreign(folder, num_heads=2)
    message = str(error.value)
    assert "num_classes 6, and the weights are of 5" in message
    assert "global_pool is 'avg'" in message
    assert "act_layer is 'quick_gelu'" in message


def test_sizes_without_a_config(tmp_path):
    ours = published.params("space", dim=64)
    path = published.save(tmp_path / "vit.safetensors", published.timm(ours))
    source = read_foreign(path)
    assert source.architecture.num_heads == 1
    assert any("number of heads" in note for note in source.report.notes)

    ours = published.params("space", (1, 2, 3))
    path = published.save(tmp_path / "vit.safetensors", published.timm(ours))
    with pytest.raises(CheckpointError) as error:
        read_foreign(path)
    assert "give num_heads" in str(error.value)
    assert "give image_size=(height, width)" in str(error.value)
    source = read_foreign(path, num_heads=2, image_size=(8, 12))
    assert source.architecture.image_size == (8, 12)
    published.assert_equal(source.params, ours)
    for wrong in (12, (8, 8), (6, 16)):
        with pytest.raises(CheckpointError, match="image_size is"):
            read_foreign(path, num_heads=2, image_size=wrong)
    # timm's models of which the class token has no position.
    theirs = published.timm(published.params("space"))
    theirs["pos_embed"] = theirs["pos_embed"][:, 1:]
    path = published.save(tmp_path / "vit.safetensors", theirs)
    with pytest.raises(CheckpointError, match="has the class token no position of its own"):
        read_foreign(path, num_heads=2)
