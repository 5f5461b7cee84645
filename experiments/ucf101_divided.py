"""TimeSformer on UCF101: fine-tuning on 101 classes of some 13,000 short videos.

    python -m vidtx.main --config=experiments/ucf101_divided.py --workdir=runs/ucf101

The paper does not report this data set. The recipe is its one for Kinetics-400 but for a stride of
16, as these videos last 7 s on average and not 10. It begins with the released TimeSformer of
Kinetics-400 (CC-BY-NC 4.0), or with your own run: ``--config.train.init_from=runs/k400_divided``.
A model of this size does not learn from so few videos alone. ``finetune:dataset=ucf101`` is the
recipe of today.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("ucf101", "ucf101", argument, pretrain="k400")
