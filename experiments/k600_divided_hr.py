"""TimeSformer-HR on Kinetics-600: 16 frames of 448² at a stride of 16.

    python -m vidtx.main --config=experiments/k600_divided_hr.py --workdir=runs/k600_divided_hr

It begins with ViT-B/16 of ImageNet-21K, from which the paper reports 81.8 % top-1 and 95.8 % top-5
(Table 6); of the model released with their code the authors report the same.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k600", "kinetics600", argument, size="hr")
