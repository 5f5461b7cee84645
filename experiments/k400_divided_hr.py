"""TimeSformer-HR on Kinetics-400: divided attention, 16 frames of 448² at a stride of 16.

    python -m vidtx.main --config=experiments/k400_divided_hr.py --workdir=runs/k400_divided_hr

The recipe is Appendix A's, the stride the authors' code's. It begins with ViT-B/16 of ImageNet-21K,
from which the paper reports 79.7 % top-1 and 94.4 % top-5 (Table 5; 5.11 T multiply-adds over three
crops); with ``pretrain=in1k`` 77.8 % (Table 3). Of the model released with their code the authors
report 79.6 % and 94.0 %.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k400", "kinetics400", argument, size="hr")
