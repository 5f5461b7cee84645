r"""Linear probe: how good are frozen features? Only the last layer is trained.

    python -m vidtx.main --config=experiments/linear_probe.py --workdir=runs/probe
    python -m vidtx.main --config=linear_probe:dataset=my_videos,source=folder --workdir=runs/mine

It compares pre-trainings (``pretrain=in21k`` and ``k400``) at little cost, and is the strongest
that a few hundred videos bear when fine-tuning overfits. ``docs/recipes.md`` has all arguments.
Folders ``train`` and ``val`` of one's own need ``--config.data.eval_split=validation``.

Frozen features are those of pixels as the model knows them. Here pixels are normalised as for the
released TimeSformers, by 0.45 and 0.225; ViTs of images had others, which a frozen model cannot
learn its way out of. With ``pretrain=in21k`` set ``--config.data.mean="(0.5, 0.5, 0.5)"`` and
``--config.data.std="(0.5, 0.5, 0.5)"``; with ``pretrain=in1k`` (DeiT)
``--config.data.mean="(0.485, 0.456, 0.406)"`` and ``--config.data.std="(0.229, 0.224, 0.225)"``.

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
