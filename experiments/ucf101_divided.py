r"""TimeSformer on UCF101: fine-tuning on 101 classes of some 13,000 short videos.

    python -m vidtx.main --config=experiments/ucf101_divided.py --workdir=runs/ucf101 \
        --config.train.init_from=runs/k400_divided

A scheme behind a colon. The paper does not report this data set; the recipe is its one for
Kinetics-400 but for a stride of 16, as these videos last 7 s on average and not 10. A model of this
size does not learn from so few videos alone: begin with another run's weights.
"""

from experiments.recipes import Size, recipe


def get_config(argument=None):
    """The recipe; ``argument`` is a scheme, divided unless given."""
    sizes = {"base": Size(8, 16, 224)}
    return recipe("ucf101", "ucf101", argument, eval_split="test", sizes=sizes)
