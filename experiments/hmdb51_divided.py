"""TimeSformer on HMDB51: fine-tuning on 51 classes of some 7,000 short videos.

    python -m vidtx.main --config=experiments/hmdb51_divided.py --workdir=runs/hmdb51

The paper does not report this data set. The recipe is its one for Kinetics-400 but for a stride of
8, as these videos last 3 s on average and not 10. It begins with the released TimeSformer of
Kinetics-400 (CC-BY-NC 4.0), or with your own run: ``--config.train.init_from=runs/k400_divided``.
A model of this size does not learn from so few videos alone. ``finetune:dataset=hmdb51`` is the
recipe of today.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("hmdb51", "hmdb51", argument, pretrain="k400")
