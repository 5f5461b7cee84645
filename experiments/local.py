"""``runlocal``: any experiment on a laptop, from start to end, in a minute.

The recipe stays what it is: the scheme, the optimiser and its schedule, augmentation, mixing, what
is frozen, views and their average. Model and data become small. It shows that a run of this kind
goes through, and what it leaves behind; what its model learns says nothing.
"""

from ml_collections import ConfigDict

# Of `motions`, which is made on first use: 17 pictures a video, of 32².
_FRAMES = 8
_SIDE = 32


def make_local(config: ConfigDict) -> None:
    """Makes a config small, in place."""
    config.name = f"{config.name.removesuffix('_local')}_local"

    config.model.name = "timesformer_ti8"
    config.model.embed_dim = 48
    config.model.depth = 2
    config.model.num_heads = 4
    config.model.init_stddev = 0.15  # about 1/√48: the published 0.02 suits a width of 768
    config.model.dtype = "float32"  # which CPUs are faster in

    config.data.name = "motions"
    config.data.source = "tfds"
    config.data.eval_split = "test[:25%]"
    config.data.frames = min(config.data.frames, _FRAMES)
    config.data.stride = 2
    config.data.target_fps = None
    config.data.flip = False  # left and right are classes
    # Sizes drawn between the same proportions as on the published data sets.
    low, high = (side * _SIDE // config.data.image_size[0] for side in config.data.short_side)
    config.data.short_side = (low, high)
    config.data.image_size = (_SIDE, _SIDE)
    config.data.eval_short_side = _SIDE
    config.data.threads = 2

    config.train.init_from = None  # of other sizes, and not here
    config.train.global_batch = 16
    config.train.steps, config.train.epochs, config.train.examples = 100, None, None
    config.train.log_every_steps = 10
    optimizer = config.optimizer
    if optimizer.warmup_epochs or optimizer.warmup_examples or optimizer.warmup_steps:
        optimizer.warmup_steps = 10
        optimizer.warmup_epochs = optimizer.warmup_examples = None

    config.eval.global_batch = 16
    config.eval.temporal_views = min(config.eval.temporal_views, 2)
    config.eval.every_steps = config.eval.every_epochs = config.eval.every_examples = None
    config.checkpoint.every_steps = 50
    config.checkpoint.every_epochs = config.checkpoint.every_examples = None
