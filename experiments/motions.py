"""The embedded data set: eight motions in pairs of opposites. Trains on a laptop's CPU.

    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions

Another scheme behind a colon, such as ``experiments/motions.py:joint``; also ``frames=4`` and
``positions=none|space|space_time``. The data set is made on first use, in ``data/``.
"""

from experiments.arguments import FRAMES, POSITIONS, SCHEME, parse
from experiments.defaults import defaults
from experiments.recipes import name_of


def get_config(argument=None):
    """A small model; ``argument`` is its scheme, divided unless given, or more."""
    words = parse(argument, SCHEME | FRAMES | POSITIONS, local=False)
    config = defaults()
    config.name = name_of("motions", {"scheme": "divided", "size": "base"}, words)
    config.model.scheme = words.get("scheme", "divided")
    config.model.position_embedding = words.get("positions", "space_time")
    config.data.frames = int(words.get("frames", 8))

    config.model.name = "timesformer_ti8"
    config.model.embed_dim = 96
    config.model.depth = 4
    config.model.num_heads = 4
    config.model.drop_path = 0.0
    config.model.init_stddev = 0.1  # 1/√96: the published 0.02 suits a width of 768
    config.model.time_init_stddev = 0.5  # from scratch, frames are told apart from the start

    config.data.name = "motions"
    config.data.eval_split = "test"
    config.data.stride = 2
    config.data.image_size = (32, 32)
    config.data.short_side = (32, 32)
    config.data.eval_short_side = 32
    config.data.flip = False  # left and right are classes

    config.train.global_batch = 16
    config.train.steps = 1400

    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.b2 = 0.98
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 50
    config.optimizer.weight_decay = 0.05
    config.optimizer.weight_decay_on = "kernels"
    config.optimizer.clip_norm = 1.0

    config.eval.global_batch = 64
    config.eval.every_steps = 500
    config.eval.spatial_crops = 1
    return config
