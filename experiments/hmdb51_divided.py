r"""TimeSformer on HMDB51: fine-tuning on 51 classes of some 7,000 short videos.

    python -m vidtx.main --config=experiments/hmdb51_divided.py --workdir=runs/hmdb51 \
        --config.train.init_from=runs/k400_divided

A scheme behind a colon. The paper does not report this data set; the recipe is its one for
Kinetics-400 but for a stride of 8, as these videos last 3 s on average and not 10. A model of this
size does not learn from so few videos alone: begin with another run's weights.
"""

from experiments.recipes import Size, recipe


def get_config(argument=None):
    """The recipe; ``argument`` is a scheme, divided unless given."""
    sizes = {"base": Size(8, 8, 224)}
    return recipe("hmdb51", "hmdb51", argument, eval_split="test", sizes=sizes)
