"""The embedded data set: eight motions in pairs of opposites. Trains on a laptop's CPU.

    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions

Another scheme behind a colon, such as ``experiments/motions.py:joint``. The data set is made on
first use, in ``data/``.
"""

from experiments.defaults import defaults


def get_config(scheme=None):
    """A small model of the given scheme; divided unless given."""
    config = defaults()
    config.model.scheme = scheme or "divided"
    config.name = f"motions_{config.model.scheme}"

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
