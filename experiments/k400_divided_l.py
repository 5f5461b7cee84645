"""TimeSformer-L on Kinetics-400: divided attention, 96 frames of 224² at a stride of 4.

    python -m vidtx.main --config=experiments/k400_divided_l.py --workdir=runs/k400_divided_l

The recipe is Appendix A's. It begins with ViT-B/16 of ImageNet-21K, from which the paper reports
80.7 % top-1 and 94.7 % top-5 (Table 5; 7.14 T multiply-adds over three crops); with
``pretrain=in1k`` 78.1 % (Table 3). Of the model released with their code the authors report 80.6 %
and 94.7 %.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k400", "kinetics400", argument, size="l")
