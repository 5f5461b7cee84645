"""A model made by hand that looks at what is bright, and a video where it is known what that is.

Patches carry their brightness in one number of their embedding. All queries are one constant and
keys are brightness, so that every token of every step looks at the brightest of its group. What the
class token takes from there is brightness too, and the head calls it ``bright`` or ``dark``.
"""

import jax.numpy as jnp
import numpy as np

from data_pipelines.encode import encode_mp4
from tests.models import tiny
from vidtx.checkpoints import CheckpointStore
from vidtx.models import SCHEMES

PATCH, DIM, HEADS, DEPTH = 8, 16, 2, 2
GRID = (4, 3, 5)  # frames, rows, columns: no two alike
CLASS_NAMES = ("dark", "bright")
FPS, STRIDE, SCALE = 8, 2, 4

# Frame of the clip → (row, column) of the patch that is bright, and how bright. None in frame 2.
BRIGHT = {0: ((0, 4), 200), 1: ((2, 1), 255), 3: ((1, 3), 200)}
HOTTEST = (1, 2, 1)
BLANK = 8  # frames of the video before the clip, none bright

_BRIGHTNESS, _CONSTANT, _TAKEN = 0, 4, 8  # places in the embedding


def clip():
    """uint8 [T, height, width, 3] at four times the size that the model is fed."""
    frames, rows, columns = GRID
    side = PATCH * SCALE
    shown = np.full((frames, rows * side, columns * side, 3), 40, np.uint8)
    shown += (8 * np.arange(frames, dtype=np.uint8))[:, None, None, None]  # no two frames alike
    for frame, ((row, column), level) in BRIGHT.items():
        here = slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)
        shown[frame][here] = level
    return shown


def video():
    """An MP4: a second of nothing, then the clip, each of its frames twice."""
    shown = clip().repeat(STRIDE, axis=0)
    return encode_mp4(np.concatenate([np.full_like(shown, 20), shown]), fps=FPS)


def params(scheme):
    """Nested weights of the model."""
    tree = tiny.weights(scheme, GRID, depth=DEPTH, dim=DIM)
    embedding = {
        name: np.zeros_like(leaf) for name, leaf in tree["embedding"].items() if name != "patch"
    }
    kernel = np.zeros((PATCH, PATCH, 3, DIM), np.float32)
    kernel[..., _BRIGHTNESS] = 1 / kernel[..., 0].size
    bias = np.zeros(DIM, np.float32)
    # Equal and opposite, and larger than what differs: norms then hardly change brightness.
    bias[_CONSTANT], bias[_CONSTANT + 1] = 4, -4
    embedding["class_token"][..., :] = bias
    tree["embedding"] = embedding | {"patch": {"kernel": kernel, "bias": bias}}

    width = DIM // HEADS
    for index in range(DEPTH):
        block = tree[f"block_{index}"]
        steps = [block["attention"]]
        for step in SCHEMES[scheme].added_steps:
            steps.append(block[step.name]["attention"])
            _clear(block[step.name]["fc"])
            _identity(block[step.name]["norm"])
        for attention in steps:
            _clear(attention["qkv"])
            _clear(attention["out"])
            attention["qkv"]["bias"][:DIM] = 1
            attention["qkv"]["kernel"][_BRIGHTNESS, DIM : 2 * DIM] = 0.8
            attention["qkv"]["kernel"][_BRIGHTNESS, 2 * DIM :: width] = 1
            attention["out"]["kernel"][::width, _TAKEN] = 0.5
        _clear(block["mlp"]["fc2"])
        for name in ("norm1", "norm2"):
            _identity(block[name])
    _identity(tree["norm"])
    _clear(tree["head"])
    tree["head"] = {
        "kernel": np.zeros((DIM, len(CLASS_NAMES)), np.float32),
        "bias": np.zeros(len(CLASS_NAMES), np.float32),
    }
    tree["head"]["kernel"][_TAKEN] = -4, 4
    return tree


def write(folder, scheme):
    """Writes the model as a checkpoint with its contract; returns the folder."""
    frames, rows, columns = GRID
    contract = {
        "model.name": f"timesformer_b{PATCH}",
        "model.scheme": scheme,
        "model.position_embedding": "space_time",
        "model.embed_dim": DIM,
        "model.depth": DEPTH,
        "model.num_heads": HEADS,
        "data.mean": [0.45] * 3,
        "data.std": [0.225] * 3,
        "data.channel_order": "rgb",
        "data.frames": frames,
        "data.stride": STRIDE,
        "data.sampling": "stride",
        "data.target_fps": None,
        "data.image_size": [rows * PATCH, columns * PATCH],
        "data.short_videos": "repeat_last",
        "data.eval_short_side": rows * PATCH,
        "data.multi_label": False,
        "eval.temporal_views": 1,
        "eval.spatial_crops": 1,
        "class_names": list(CLASS_NAMES),
    }
    tree = _arrays(params(scheme))
    with CheckpointStore(folder, contract=contract) as store:
        store.save(0, {"step": jnp.zeros((), jnp.int32), "params": tree})
    return folder


def _clear(layer):
    for leaf in layer.values():
        leaf[...] = 0


def _identity(norm):
    norm["scale"][...], norm["bias"][...] = 1, 0


def _arrays(tree):
    if isinstance(tree, dict):
        return {name: _arrays(leaf) for name, leaf in tree.items()}
    return jnp.asarray(tree)
