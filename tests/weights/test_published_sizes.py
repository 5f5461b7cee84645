"""Released models by their tables of keys: names and shapes at full size, no values.

A safetensors file is its header and zeros, which a file system need not store, nor anybody read.
"""

import json
import math
import struct

import pytest

from vidtx.weights import read_foreign

# Names and shapes of the official checkpoints and of Hugging Face's, of one block and outside, for
# D = 768 and patches of 16.
OUTSIDE = {
    ("model.cls_token", "timesformer.embeddings.cls_token"): (1, 1, 768),
    (
        "model.patch_embed.proj.weight",
        "timesformer.embeddings.patch_embeddings.projection.weight",
    ): (768, 3, 16, 16),
    ("model.patch_embed.proj.bias", "timesformer.embeddings.patch_embeddings.projection.bias"): (
        768,
    ),
    ("model.norm.weight", "timesformer.layernorm.weight"): (768,),
    ("model.norm.bias", "timesformer.layernorm.bias"): (768,),
}
BLOCK = {
    ("norm1.weight", "layernorm_before.weight"): (768,),
    ("norm1.bias", "layernorm_before.bias"): (768,),
    ("attn.qkv.weight", "attention.attention.qkv.weight"): (2304, 768),
    ("attn.qkv.bias", "attention.attention.qkv.bias"): (2304,),
    ("attn.proj.weight", "attention.output.dense.weight"): (768, 768),
    ("attn.proj.bias", "attention.output.dense.bias"): (768,),
    ("norm2.weight", "layernorm_after.weight"): (768,),
    ("norm2.bias", "layernorm_after.bias"): (768,),
    ("mlp.fc1.weight", "intermediate.dense.weight"): (3072, 768),
    ("mlp.fc1.bias", "intermediate.dense.bias"): (3072,),
    ("mlp.fc2.weight", "output.dense.weight"): (768, 3072),
    ("mlp.fc2.bias", "output.dense.bias"): (768,),
}
TIME = {
    ("temporal_norm1.weight", "temporal_layernorm.weight"): (768,),
    ("temporal_norm1.bias", "temporal_layernorm.bias"): (768,),
    ("temporal_attn.qkv.weight", "temporal_attention.attention.qkv.weight"): (2304, 768),
    ("temporal_attn.qkv.bias", "temporal_attention.attention.qkv.bias"): (2304,),
    ("temporal_attn.proj.weight", "temporal_attention.output.dense.weight"): (768, 768),
    ("temporal_attn.proj.bias", "temporal_attention.output.dense.bias"): (768,),
    ("temporal_fc.weight", "temporal_dense.weight"): (768, 768),
    ("temporal_fc.bias", "temporal_dense.bias"): (768,),
}


def table(library, scheme, frames, positions, classes):
    """Names and shapes of a released model, ``library`` 0 for the authors', 1 for the other."""
    names = dict(OUTSIDE)
    position = ("model.pos_embed", "timesformer.embeddings.position_embeddings")
    names[position] = (1, positions, 768)
    if scheme != "space":
        names["model.time_embed", "timesformer.embeddings.time_embeddings"] = (1, frames, 768)
    names["model.head.weight", "classifier.weight"] = (classes, 768)
    names["model.head.bias", "classifier.bias"] = (classes,)
    found = {pair[library]: shape for pair, shape in names.items()}
    for i in range(12):
        block = (f"model.blocks.{i}", f"timesformer.encoder.layer.{i}")[library]
        rows = BLOCK | (TIME if scheme == "divided" else {})
        found |= {f"{block}.{pair[library]}": shape for pair, shape in rows.items()}
    return found


def hollow(path, shapes):
    """A safetensors file of zeros that takes no room."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


@pytest.mark.parametrize("library", [0, 1])
@pytest.mark.parametrize(
    ("scheme", "frames", "side", "classes", "tensors", "parameters"),
    [
        ("divided", 8, 224, 400, 249, 121_566_352),
        ("joint", 8, 224, 400, 153, 86_112_400),
        ("space", 8, 224, 400, 152, 86_106_256),
        ("divided", 16, 448, 400, 249, 122_024_080),  # HR
        ("divided", 96, 224, 400, 249, 121_633_936),  # L
        ("divided", 64, 224, 174, 249, 121_435_566),  # L of Something-Something V2
    ],
)
def test_released_models_by_their_keys(
    tmp_path, library, scheme, frames, side, classes, tensors, parameters
):
    shapes = table(library, scheme, frames, 1 + (side // 16) ** 2, classes)
    assert len(shapes) == tensors
    assert sum(map(math.prod, shapes.values())) == parameters
    source = read_foreign(hollow(tmp_path / "released.safetensors", shapes), shapes_only=True)
    # The authors' file tells by its container; its names alone are an image model's.
    of_images = (library, scheme) == (0, "space")
    assert source.layout.startswith("ViT" if of_images else "TimeSformer")
    assert source.architecture.scheme == (None if of_images else scheme)
    assert source.architecture.num_heads == 12
    assert source.architecture.num_frames == (None if of_images else frames)
    assert source.architecture.image_size == (side, side)
    assert source.architecture.num_classes == classes
    assert source.architecture.name == "timesformer_b16"
    assert source.report.counts["used"] == len(source.report.entries) == tensors
    assert sum(math.prod(leaf.shape) for leaf in source.params.values()) == parameters
    assert source.contract.get("data.channel_order", "rgb") == ("bgr" if classes == 174 else "rgb")


@pytest.mark.parametrize(
    ("dim", "depth", "heads"), [(192, 12, 3), (384, 12, 6), (1024, 24, 16), (1280, 32, 16)]
)
def test_heads_of_image_models_by_their_size(tmp_path, dim, depth, heads):
    """ViT-H's are 80 wide."""
    shapes = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, 257, dim),
        "patch_embed.proj.weight": (dim, 3, 14, 14),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
    }
    sizes = {768: dim, 2304: 3 * dim, 3072: 4 * dim}
    for i in range(depth):
        for (name, _), shape in BLOCK.items():
            shapes[f"blocks.{i}.{name}"] = tuple(sizes[size] for size in shape)
    source = read_foreign(hollow(tmp_path / "vit.safetensors", shapes), shapes_only=True)
    assert source.architecture.num_heads == heads
    assert source.architecture.image_size == (224, 224)
    assert not source.report.notes
