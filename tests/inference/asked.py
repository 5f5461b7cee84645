"""A tiny model's checkpoint, as a run leaves it, to be asked about videos."""

import jax
import jax.numpy as jnp

from tests.models import tiny
from vidtx.checkpoints import CheckpointStore

CLASS_NAMES = ("falling", "rising", "turning", "waving", "writing")
CONTRACT = {
    "model.name": "timesformer_ti4",
    "model.scheme": "divided",
    "model.position_embedding": "space_time",
    "model.embed_dim": tiny.DIM,
    "model.depth": tiny.DEPTH,
    "model.num_heads": tiny.HEADS,
    "data.mean": [0.4, 0.45, 0.5],
    "data.std": [0.2, 0.225, 0.25],
    "data.channel_order": "bgr",
    "data.frames": 4,
    "data.stride": 3,
    "data.sampling": "stride",
    "data.target_fps": None,
    "data.image_size": [8, 16],
    "data.short_videos": "loop",
    "data.eval_short_side": 12,
    "data.multi_label": False,
    "eval.temporal_views": 2,
    "eval.temporal_position": "middle",
    "eval.spatial_crops": 3,
    "eval.average": "softmax",
    "class_names": list(CLASS_NAMES),
}


def write_weights(folder, scale=1.0, **changes):
    """A checkpoint of the tiny model; ``changes`` of its contract, by name with _ for the dot.

    A value of None leaves the entry out.
    """
    contract = dict(CONTRACT)
    for name, value in changes.items():
        key = name if name in contract or name == "head_is_new" else name.replace("_", ".", 1)
        contract[key] = value
        if value is None:
            del contract[key]
    params = jax.tree.map(jnp.asarray, tiny.weights("divided"))
    params["head"]["kernel"] *= scale
    with CheckpointStore(folder, contract=contract) as store:
        store.save(0, {"step": jnp.zeros((), jnp.int32), "params": params})
    return folder
