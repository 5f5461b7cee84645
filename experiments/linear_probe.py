r"""Linear probe: how good are frozen features? Only the last layer is trained.

    python -m vidtx.main --config=experiments/linear_probe.py --workdir=runs/probe
    python -m vidtx.main --config=linear_probe:dataset=my_videos,source=folder --workdir=runs/mine

It compares pre-trainings (``pretrain=in21k`` and ``k400``) at little cost, and is the strongest
that a few hundred videos bear when fine-tuning overfits. ``docs/recipes.md`` has all arguments.
Usual practice of linear probes; nothing was published for TimeSformer, and nothing measured here.
"""

from experiments.transfer import transfer


def get_config(argument=None):
    """The recipe; ``argument`` as of ``docs/recipes.md``."""
    return transfer("linear_probe", argument, _own)


def _own(config, words):
    # Everything but the head stays bit-equal, needs no optimiser memory and gets no decay. For a
    # little more, let the last norm learn too: ("(?!(head|norm)/).*",).
    config.optimizer.freeze = ("(?!head/).*",)

    # The features must be those of the model as it will be used.
    config.model.drop_path = 0.0
    # Crops and mirroring alone: a line cannot learn to see through more.
    config.data.rand_augment = 0

    config.train.epochs = 20.0
    config.train.global_batch = 64
    # MAE normalises the features of each batch before the head, so that one rate of SGD suits any
    # of them. Here they come out of the model's last LayerNorm, and AdamW divides each weight's
    # gradient by its own scale, which does for the rest; so there is no further normalisation.
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 1e-3  # a single layer bears far more than a whole model
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 0.0  # 769 weights a class on fixed features: nothing to curb
    config.eval.every_epochs = 5.0
    config.checkpoint.keep_best = 1
