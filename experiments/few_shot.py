r"""Few-shot: fine-tuning on ``shots`` videos of each class, judged on the whole test split.

    python -m vidtx.main --config=experiments/few_shot.py --workdir=runs/few_shot
    python -m vidtx.main --config=few_shot:dataset=hmdb51,shots=1 --workdir=runs/one_shot

``shots=5`` unless given. The videos are the first so many of each class in an order that the seed
draws, so that ``--config.seed=1`` trains on others: report the mean over several runs.
``docs/recipes.md`` has all arguments. Folders ``train`` and ``val`` of one's own
(``dataset=my_videos,source=folder``) need ``--config.data.eval_split=validation``. The values are
ours; nothing was measured here.
"""

from experiments.arguments import Key
from experiments.transfer import transfer


def get_config(argument=None):
    """The recipe; ``argument`` as of ``docs/recipes.md``."""
    return transfer("few_shot", argument, _own, keys={"shots": Key(count=True)})


def _own(config, words):
    config.data.per_class = int(words.get("shots", 5))

    # Steps and not epochs: an epoch of so few videos is over after some batches, and how long a
    # model needs to turn to new classes hardly depends on their number.
    config.train.steps = 500
    config.train.global_batch = 16  # a batch larger than the split would only repeat its videos

    # What is seen again a hundred times must look different each time, but stay what it is: no
    # mixing, as a blend of two out of five videos says little about either class.
    config.data.rand_augment = 2
    config.data.rand_augment_magnitude = 9.0
    config.train.label_smoothing = 0.1
    config.model.drop_path = 0.2

    # Few videos cannot tell early layers anything: they move little, and none moves fast.
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 50
    config.optimizer.weight_decay = 0.05
    config.optimizer.weight_decay_on = "no_1d"
    config.optimizer.layer_decay = 0.65  # stronger than fine-tuning's 0.75
    config.optimizer.clip_norm = 1.0

    config.checkpoint.every_steps = 250
