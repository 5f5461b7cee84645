"""Tiny models of other libraries: the names and shapes of their files, seeded weights, folders.

No file of another library is needed for any of it, nor its code: names are written down here, as
the libraries publish them, and `test_huggingface.py` and `test_images.py` hold them against the
libraries themselves. Weights, clips and directions are made again from their names, as everywhere
in the models' tests (`tests/models/tiny.py`), and none is zero: neither the time embedding nor the
output layers of the time steps, which are zero in a model that was never trained.
"""

import dataclasses
import json
import math
import pathlib

import numpy as np
import safetensors.numpy

from tests.models import tiny

# Hugging Face's names of the schemes that it has, and ours.
SCHEMES = {"divided_space_time": "divided", "joint_space_time": "joint", "space_only": "space"}
# The same image model by the names of two libraries.
IMAGE_LIBRARIES = ("huggingface_vit", "timm_vit")

# Token grids (T, H, W): the first is the trained one.
GRIDS = {
    "trained": (4, 2, 2),
    "larger": (4, 3, 3),
    "non_square": (4, 2, 3),
    "more_frames": (6, 2, 2),
    "fewer_frames": (3, 2, 2),
    "both": (6, 4, 3),
}


@dataclasses.dataclass(frozen=True)
class Size:
    """Of a model; ``grid`` is the trained ``(T, H, W)``."""

    dim: int = 24
    depth: int = 2
    heads: int = 2
    patch: int = 8
    grid: tuple[int, int, int] = GRIDS["trained"]
    classes: int = 5


TINY = Size()


def _linear(name, outputs, *inputs):
    return {f"{name}.weight": (outputs, *inputs), f"{name}.bias": (outputs,)}


def _norm(name, dim):
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def timesformer_shapes(scheme, size=TINY):
    """``{name: shape}`` of Hugging Face's TimesformerForVideoClassification."""
    dim, (frames, rows, columns) = size.dim, size.grid
    stem = "timesformer.embeddings"
    shapes = {
        f"{stem}.cls_token": (1, 1, dim),
        f"{stem}.position_embeddings": (1, 1 + rows * columns, dim),
        **_linear(f"{stem}.patch_embeddings.projection", dim, 3, size.patch, size.patch),
        **_norm("timesformer.layernorm", dim),
        **_linear("classifier", size.classes, dim),
    }
    if scheme != "space_only":
        shapes[f"{stem}.time_embeddings"] = (1, frames, dim)
    for index in range(size.depth):
        layer = f"timesformer.encoder.layer.{index}"
        kinds = {"attention": "layernorm_before"}
        if scheme == "divided_space_time":
            kinds["temporal_attention"] = "temporal_layernorm"
            shapes |= _linear(f"{layer}.temporal_dense", dim, dim)
        for attention, norm in kinds.items():
            shapes |= _norm(f"{layer}.{norm}", dim)
            shapes |= _linear(f"{layer}.{attention}.attention.qkv", 3 * dim, dim)
            shapes |= _linear(f"{layer}.{attention}.output.dense", dim, dim)
        shapes |= _norm(f"{layer}.layernorm_after", dim)
        shapes |= _linear(f"{layer}.intermediate.dense", 4 * dim, dim)
        shapes |= _linear(f"{layer}.output.dense", dim, 4 * dim)
    return shapes


def image_shapes(library, size=TINY):
    """``{name: shape}`` of an image model's file, by either library's names."""
    dim, (_, rows, columns) = size.dim, size.grid
    timm = library == "timm_vit"
    stem = "" if timm else "vit.embeddings."
    shapes = {
        f"{stem}cls_token": (1, 1, dim),
        f"{stem}{'pos_embed' if timm else 'position_embeddings'}": (1, 1 + rows * columns, dim),
        **_linear(
            f"{stem}{'patch_embed.proj' if timm else 'patch_embeddings.projection'}",
            dim, 3, size.patch, size.patch,
        ),
        **_norm("norm" if timm else "vit.layernorm", dim),
        **_linear("head" if timm else "classifier", size.classes, dim),
    }  # fmt: skip
    for index in range(size.depth):
        if timm:
            layer = f"blocks.{index}"
            names = ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2")
            shapes |= _linear(f"{layer}.attn.qkv", 3 * dim, dim)
        else:
            layer = f"vit.encoder.layer.{index}"
            names = ("layernorm_before", "layernorm_after", "attention.output.dense")
            names += ("intermediate.dense", "output.dense")
            for kind in ("query", "key", "value"):
                shapes |= _linear(f"{layer}.attention.attention.{kind}", dim, dim)
        before, after, out, fc1, fc2 = (f"{layer}.{name}" for name in names)
        shapes |= _norm(before, dim) | _norm(after, dim) | _linear(out, dim, dim)
        shapes |= _linear(fc1, 4 * dim, dim) | _linear(fc2, dim, 4 * dim)
    return shapes


def shapes_of(model, size=TINY):
    """Of one of ``SCHEMES`` or ``IMAGE_LIBRARIES``."""
    make = image_shapes if model in IMAGE_LIBRARIES else timesformer_shapes
    return make(model, size)


def weights(shapes):
    """Seeded float32 weights, such that norms, softmax and GELU work where they bend."""
    tree = {}
    for name, shape in shapes.items():
        if len(shape) == 3:
            tree[name] = tiny.uniform(name, shape, 1.0)
        elif len(shape) == 1:
            tree[name] = tiny.uniform(name, shape, 0.3) + np.float32(name.endswith("weight"))
        else:
            tree[name] = tiny.uniform(name, shape, (3 / math.prod(shape[1:])) ** 0.5)
    return tree


def directions(shapes):
    """For each array one of its shape, along which its gradient is kept in the goldens."""
    return {name: tiny.uniform(f"direction/{name}", shape, 1.0) for name, shape in shapes.items()}


def clips(grid, size=TINY, batch=2):
    """Float32 clips ``[batch, T, height, width, 3]`` of the token grid ``(T, H, W)``."""
    frames, rows, columns = grid
    shape = (batch, frames, rows * size.patch, columns * size.patch, 3)
    return tiny.uniform(f"clips/{shape}", shape, 1.5)


def logits_gradient(batch=2, classes=TINY.classes):
    """What the backward pass begins with, ``[batch, C]``."""
    return tiny.uniform("d_logits", (batch, classes), 1.0)


def config(model, size=TINY):
    """What Hugging Face's ``config.json`` says of a model; timm has no such file."""
    frames, rows, columns = size.grid
    height, width = rows * size.patch, columns * size.patch
    video = model in SCHEMES
    values = {
        "architectures": [
            "TimesformerForVideoClassification" if video else "ViTForImageClassification"
        ],
        "model_type": "timesformer" if video else "vit",
        "hidden_act": "gelu",
        "hidden_size": size.dim,
        "id2label": {str(index): f"class {index}" for index in range(size.classes)},
        "label2id": {f"class {index}": index for index in range(size.classes)},
        "image_size": height if height == width else [height, width],
        "intermediate_size": 4 * size.dim,
        # Of both, and of ours; Hugging Face's image models have 1e-12 where nothing is said.
        "layer_norm_eps": 1e-6,
        "num_attention_heads": size.heads,
        "num_channels": 3,
        "num_hidden_layers": size.depth,
        "patch_size": size.patch,
        "qkv_bias": True,
    }
    if video:
        values |= {"attention_type": model, "drop_path_rate": 0, "num_frames": frames}
    return values


def write(folder, model, arrays, size=TINY):
    """A folder, or of timm a file, as its library would write it; returns what to read."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.safetensors"
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    if model == "timm_vit":
        return path
    (folder / "config.json").write_text(json.dumps(config(model, size), indent=2))
    return folder
