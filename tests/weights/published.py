"""The files of other libraries, written down here by hand: names, axes and configs.

Nothing of `vidtx.weights` is used, so that its tables are held against something. Weights are those
of `tests.models.tiny`, by vidtx's names; ``params`` below is such a dict.
"""

import json

import numpy as np
import safetensors.numpy

from tests.models import tiny

HEADS = tiny.HEADS
GRID = (4, 2, 2)  # square, as what files do not say is taken to be
SIDE = GRID[1] * tiny.PATCH
ATTENTION_TYPES = {
    "divided": "divided_space_time",
    "joint": "joint_space_time",
    "space": "space_only",
}
MEAN, STD = [0.45] * 3, [0.225] * 3


def params(scheme, grid=GRID, **options):
    """Ours, dots between."""
    tree = tiny.weights(scheme, grid, **options)
    return {name.replace("/", "."): array for name, array in tiny.flat(tree).items()}


def without_head(ours):
    return {name: array for name, array in ours.items() if not name.startswith("head.")}


def depth(ours):
    return sum(name.endswith(".norm1.scale") for name in ours)


def _norm(theirs, name, ours, ours_name):
    theirs[f"{name}.weight"] = ours[f"{ours_name}.scale"]
    theirs[f"{name}.bias"] = ours[f"{ours_name}.bias"]


def _linear(theirs, name, ours, ours_name):
    theirs[f"{name}.weight"] = ours[f"{ours_name}.kernel"].T
    theirs[f"{name}.bias"] = ours[f"{ours_name}.bias"]


def _outside(ours, cls, position, patch, norm, head):
    theirs = {cls: ours["embedding.class_token"], position: ours["embedding.position"]}
    theirs[f"{patch}.weight"] = np.einsum("hwio->oihw", ours["embedding.patch.kernel"])
    theirs[f"{patch}.bias"] = ours["embedding.patch.bias"]
    _norm(theirs, norm, ours, "norm")
    if "head.bias" in ours:
        _linear(theirs, head, ours, "head")
    return theirs


def timm(ours):
    """Also an official TimeSformer without time, but for prefixes."""
    theirs = _outside(ours, "cls_token", "pos_embed", "patch_embed.proj", "norm", "head")
    for i in range(depth(ours)):
        for name, own in (("norm1", "norm1"), ("norm2", "norm2")):
            _norm(theirs, f"blocks.{i}.{name}", ours, f"block_{i}.{own}")
        for name, own in (
            ("attn.qkv", "attention.qkv"),
            ("attn.proj", "attention.out"),
            ("mlp.fc1", "mlp.fc1"),
            ("mlp.fc2", "mlp.fc2"),
        ):
            _linear(theirs, f"blocks.{i}.{name}", ours, f"block_{i}.{own}")
    return theirs


def official(ours, prefix="model."):
    """The ``model_state`` of an official TimeSformer checkpoint."""
    theirs = timm(ours)
    if "embedding.time" in ours:
        theirs["time_embed"] = ours["embedding.time"]
    for i in range(depth(ours)):
        if f"block_{i}.time.norm.scale" in ours:
            _norm(theirs, f"blocks.{i}.temporal_norm1", ours, f"block_{i}.time.norm")
            for name, own in (
                ("temporal_attn.qkv", "time.attention.qkv"),
                ("temporal_attn.proj", "time.attention.out"),
                ("temporal_fc", "time.fc"),
            ):
                _linear(theirs, f"blocks.{i}.{name}", ours, f"block_{i}.{own}")
    return {prefix + name: array for name, array in theirs.items()}


def _huggingface(ours, base):
    theirs = _outside(
        ours,
        f"{base}embeddings.cls_token",
        f"{base}embeddings.position_embeddings",
        f"{base}embeddings.patch_embeddings.projection",
        f"{base}layernorm",
        "classifier",
    )
    for i in range(depth(ours)):
        block = f"{base}encoder.layer.{i}"
        _norm(theirs, f"{block}.layernorm_before", ours, f"block_{i}.norm1")
        _norm(theirs, f"{block}.layernorm_after", ours, f"block_{i}.norm2")
        _linear(theirs, f"{block}.attention.output.dense", ours, f"block_{i}.attention.out")
        _linear(theirs, f"{block}.intermediate.dense", ours, f"block_{i}.mlp.fc1")
        _linear(theirs, f"{block}.output.dense", ours, f"block_{i}.mlp.fc2")
    return theirs


def huggingface_vit(ours, base="vit."):
    theirs = _huggingface(ours, base)
    dim = len(ours["norm.scale"])
    for i in range(depth(ours)):
        for part, name in enumerate(("query", "key", "value")):
            columns = slice(part * dim, (part + 1) * dim)
            place = f"{base}encoder.layer.{i}.attention.attention.{name}"
            kernel = ours[f"block_{i}.attention.qkv.kernel"][:, columns]
            theirs[f"{place}.weight"] = kernel.T
            theirs[f"{place}.bias"] = ours[f"block_{i}.attention.qkv.bias"][columns]
    return theirs


def huggingface_vit_5(ours, base="vit."):
    """As ``state_dict()`` of transformers 5 gives them, and ``save_pretrained`` does not."""
    new = {
        "encoder.layer.": "layers.",
        "attention.attention.query": "attention.q_proj",
        "attention.attention.key": "attention.k_proj",
        "attention.attention.value": "attention.v_proj",
        "attention.output.dense": "attention.o_proj",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
    }
    theirs = {}
    for name, array in huggingface_vit(ours, base).items():
        for before, after in new.items():
            name = name.replace(before, after)
        theirs[name] = array
    return theirs


def huggingface(ours, base="timesformer."):
    """A TimeSformer."""
    theirs = _huggingface(ours, base)
    if "embedding.time" in ours:
        theirs[f"{base}embeddings.time_embeddings"] = ours["embedding.time"]
    for i in range(depth(ours)):
        block = f"{base}encoder.layer.{i}"
        _linear(theirs, f"{block}.attention.attention.qkv", ours, f"block_{i}.attention.qkv")
        if f"block_{i}.time.norm.scale" in ours:
            own = f"block_{i}.time"
            _norm(theirs, f"{block}.temporal_layernorm", ours, f"{own}.norm")
            for name, part in (("attention.qkv", "attention.qkv"), ("output.dense", "out")):
                part = "attention.out" if part == "out" else part
                _linear(theirs, f"{block}.temporal_attention.{name}", ours, f"{own}.{part}")
            _linear(theirs, f"{block}.temporal_dense", ours, f"{own}.fc")
    return theirs


def google(ours, prefix="", heads=HEADS):
    """Arrays of an ``.npz``."""
    dim = len(ours["norm.scale"])
    theirs = {
        "cls": ours["embedding.class_token"],
        "Transformer/posembed_input/pos_embedding": ours["embedding.position"],
    }
    pairs = {"embedding": "embedding.patch", "Transformer/encoder_norm": "norm"}
    if "head.bias" in ours:
        pairs["head"] = "head"
    for i in range(depth(ours)):
        block, own = f"Transformer/encoderblock_{i}", f"block_{i}"
        pairs[f"{block}/LayerNorm_0"] = f"{own}.norm1"
        pairs[f"{block}/LayerNorm_2"] = f"{own}.norm2"
        pairs[f"{block}/MlpBlock_3/Dense_0"] = f"{own}.mlp.fc1"
        pairs[f"{block}/MlpBlock_3/Dense_1"] = f"{own}.mlp.fc2"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        kernel, bias = (ours[f"{own}.attention.qkv.{name}"] for name in ("kernel", "bias"))
        for part, name in enumerate(("query", "key", "value")):
            parts = kernel.reshape(dim, 3, heads, dim // heads)
            theirs[f"{attention}/{name}/kernel"] = parts[:, part]
            theirs[f"{attention}/{name}/bias"] = bias.reshape(3, heads, dim // heads)[part]
        out = ours[f"{own}.attention.out.kernel"]
        theirs[f"{attention}/out/kernel"] = out.reshape(heads, dim // heads, dim)
        theirs[f"{attention}/out/bias"] = ours[f"{own}.attention.out.bias"]
    for name, own in pairs.items():
        for leaf in ("kernel", "scale", "bias"):
            if f"{own}.{leaf}" in ours:
                theirs[f"{name}/{leaf}"] = ours[f"{own}.{leaf}"]
    return {prefix + name: array for name, array in theirs.items()}


def config(scheme, **changes):
    """A ``config.json`` of transformers, of a TimeSformer; of a ViT for ``scheme`` None."""
    own = {
        "model_type": "vit" if scheme is None else "timesformer",
        "hidden_size": tiny.DIM,
        "num_hidden_layers": tiny.DEPTH,
        "num_attention_heads": HEADS,
        "intermediate_size": 4 * tiny.DIM,
        "image_size": SIDE,
        "patch_size": tiny.PATCH,
        "num_channels": 3,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "layer_norm_eps": 1e-12 if scheme is None else 1e-6,
        "id2label": {str(i): f"LABEL_{i}" for i in range(tiny.CLASSES)},
    }
    if scheme is not None:
        own |= {"attention_type": ATTENTION_TYPES[scheme], "num_frames": GRID[0]}
    return own | changes


def save(path, theirs):
    """As ``.npz`` or ``.safetensors``, by the name."""
    arrays = {name: np.ascontiguousarray(array) for name, array in theirs.items()}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        safetensors.numpy.save_file(arrays, path)
    return path


def save_folder(folder, theirs, config, processor=None):
    folder.mkdir(exist_ok=True)
    save(folder / "model.safetensors", theirs)
    (folder / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def assert_equal(read, ours):
    """The same names, and the same bits of float32."""
    assert read.keys() == ours.keys()
    for name, array in ours.items():
        assert read[name].dtype == np.float32, name
        assert read[name].shape == array.shape, name
        np.testing.assert_array_equal(read[name].view(np.uint32), array.view(np.uint32), name)


def assert_accounted(source, keys):
    """Every key of the file once in the report, and every array of ours once."""
    theirs = [name for entry in source.report.entries for name in entry.theirs]
    assert sorted(theirs) == sorted(keys)
    ours = [entry.ours for entry in source.report.entries if entry.ours is not None]
    assert sorted(ours) == sorted(source.params)
