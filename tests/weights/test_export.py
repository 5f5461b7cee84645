"""Folders for transformers, looked into without it."""

import json

import numpy as np
import pytest
import safetensors.numpy

from tests.weights import sources
from vidtx.weights.export_huggingface import export_huggingface, export_notes

GRID = (4, 2, 2)
CONTRACT = {
    "data.mean": [0.4, 0.45, 0.5],
    "data.std": [0.2, 0.225, 0.25],
    "data.channel_order": "bgr",
    "data.stride": 32,
    "data.eval_short_side": 9,
    "data.multi_label": True,
    "class_names": ["Fallen", "gefallen", "倒れる", "d", "e"],
}


@pytest.fixture
def exported(tmp_path):
    """Returns f(scheme, contract, **changes) -> what the folder of a tiny model holds."""

    def export(scheme="divided", contract=CONTRACT, **changes):
        source = sources.of(scheme, GRID)
        model = source.architecture.create(**changes)
        params = dict(source.params)
        if changes.get("position_embedding") == "space":
            del params["embedding.time"]
        export_huggingface(tmp_path, model, params, contract)
        config, processor = (
            json.loads((tmp_path / name).read_text())
            for name in ("config.json", "preprocessor_config.json")
        )
        return config, processor, safetensors.numpy.load_file(tmp_path / "model.safetensors")

    return export


def test_the_config_says_what_the_model_is(exported):
    config, _, arrays = exported()
    assert config["architectures"] == ["TimesformerForVideoClassification"]
    assert config["attention_type"] == "divided_space_time"
    sizes = ("image_size", "patch_size", "num_frames", "hidden_size", "intermediate_size")
    assert [config[name] for name in sizes] == [8, 4, 4, 16, 64]
    assert (config["num_hidden_layers"], config["num_attention_heads"]) == (2, 2)
    assert (config["layer_norm_eps"], config["drop_path_rate"]) == (1e-6, 0)
    assert config["id2label"]["2"] == "倒れる"
    assert config["label2id"]["gefallen"] == 1
    assert config["problem_type"] == "multi_label_classification"
    assert arrays["timesformer.embeddings.patch_embeddings.projection.weight"].shape == (
        16,
        3,
        4,
        4,
    )
    assert {leaf.dtype for leaf in arrays.values()} == {np.dtype(np.float32)}


def test_arrays_lie_as_pytorch_s_layers_have_them(exported):
    # By a name and a transposition written down here, apart from the table of names.
    source = sources.of("divided", GRID)
    arrays = exported()[2]
    name = "timesformer.encoder.layer.1.temporal_attention.attention.qkv.weight"
    expected = source.params["block_1.time.attention.qkv.kernel"].T
    np.testing.assert_array_equal(arrays[name], expected)
    projection = arrays["timesformer.embeddings.patch_embeddings.projection.weight"]
    kernel = source.params["embedding.patch.kernel"]  # [height, width, in, out]
    assert projection[5, 2, 1, 3] == kernel[1, 3, 2, 5]


def test_the_processor_prepares_frames_as_they_were_in_training(exported):
    _, processor, _ = exported()
    assert processor["image_mean"] == CONTRACT["data.mean"]
    assert processor["image_std"] == CONTRACT["data.std"]
    assert processor["size"] == {"shortest_edge": 9}
    assert processor["crop_size"] == {"height": 8, "width": 8}
    assert processor["rescale_factor"] == 1 / 255
    _, processor, _ = exported(contract={})
    assert (processor["image_mean"], processor["size"]) == ([0.45] * 3, {"shortest_edge": 8})


def test_what_the_format_has_no_words_for_is_kept(exported):
    config, _, _ = exported()
    assert config["vidtx"]["contract"] == CONTRACT
    config, _, arrays = exported(position_embedding="space")
    assert config["vidtx"]["contract"]["model.position_embedding"] == "space_time"
    time = arrays["timesformer.embeddings.time_embeddings"]
    assert (time.shape, np.any(time)) == ((1, 4, 16), False)


def test_classes_without_names_get_those_of_transformers(exported):
    config, _, _ = exported("joint", contract={})
    assert config["id2label"] == {str(row): f"LABEL_{row}" for row in range(5)}
    assert config["label2id"]["LABEL_4"] == 4
    assert "problem_type" not in config


@pytest.mark.parametrize(
    ("scheme", "contract", "told"),
    [
        ("joint", CONTRACT | {"data.channel_order": "rgb"}, []),
        ("divided", CONTRACT, ["blue, green, red", "mostly without an error"]),
        ("space", {}, ["No mean and deviation of clips", "for every frame"]),
    ],
)
def test_what_a_person_should_know_is_told(scheme, contract, told):
    notes = export_notes(sources.of(scheme, GRID).architecture.create(num_frames=4), contract)
    assert len(notes) == len(told)
    assert all(part in note for part, note in zip(told, notes, strict=True))


def test_one_frame_is_right_in_transformers_too():
    notes = export_notes(sources.of("space", GRID).architecture.create(num_frames=1), CONTRACT)
    assert not any("every frame" in note for note in notes)
