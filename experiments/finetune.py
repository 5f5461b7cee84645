r"""Fine-tuning as it is done today: what the paper's recipe of 2021 had no need or no means of.

    python -m vidtx.main --config=experiments/finetune.py --workdir=runs/finetune
    python -m vidtx.main --config=finetune:dataset=my_videos,source=folder --workdir=runs/mine

``dataset=NAME`` is a published data set (ucf101 unless given) or one's own; ``docs/recipes.md`` has
all arguments. One's own is judged on ``test``; where its folders are ``train`` and ``val``, add
``--config.data.eval_split=validation``. The values are those with which MAE and VideoMAE are
fine-tuned (He et al. 2022; Tong et al. 2022), but for what a line calls ours. Nothing was published
for TimeSformer with it, and nothing was measured here.
"""

from experiments.transfer import transfer


def get_config(argument=None):
    """The recipe; ``argument`` as of ``docs/recipes.md``."""
    return transfer("finetune", argument, _own)


def _own(config, words):
    # Ours: enough for mixing and augmentation to pay. The paper's 15 suit plain clips of Kinetics.
    config.train.epochs = 30.0

    # What of the model is switched off at random while it trains.
    config.model.drop_path = 0.2  # ours; the paper's 0.1 is for a larger data set

    # What a clip looks like: one draw for all of its frames.
    config.data.rand_augment = 2  # two operations a clip …
    config.data.rand_augment_magnitude = 9.0  # … as strong as published; 5 where details decide
    config.data.erase = 0.25  # a rectangle of noise in a quarter of them: no single object decides

    # What it is trained towards: softer targets, as few videos are learnt by heart otherwise.
    config.train.mixup = 0.8  # a pair of clips blended …
    config.train.cutmix = 1.0  # … or one pasted into the other; each pair draws one of the two
    config.train.label_smoothing = 0.1  # no target is quite certain

    # How it is trained.
    config.train.global_batch = 64
    config.optimizer.name = "adamw"  # each weight by its own gradient's scale; transformers like it
    config.optimizer.learning_rate = 5e-4 * 64 / 256  # in proportion to the batch; for batch 64
    config.optimizer.schedule = "cosine"  # down to 0 without steps to be placed
    config.optimizer.warmup_steps = None
    config.optimizer.warmup_epochs = (
        2.0  # ours; the new head is random: let it settle before the rest
    )
    config.optimizer.b2 = 0.999
    config.optimizer.weight_decay = 0.05  # decoupled, so much more than the paper's 1e-4 of SGD
    config.optimizer.weight_decay_on = "no_1d"  # biases and norms are left alone
    config.optimizer.layer_decay = 0.75  # early layers are general: each block moves less
    config.optimizer.clip_norm = 5.0  # catches a rare outlier and is idle otherwise; ours
    config.train.ema_decay = 0.999  # the average of the last thousand steps is what is judged; ours

    # What is kept: a run of this kind is looked at while it goes.
    config.eval.every_epochs = 5.0
    config.checkpoint.keep_best = 1
