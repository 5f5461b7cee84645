"""TimeSformer on Kinetics-600: 8 frames of 224² at a stride of 32, with the recipe of Kinetics-400.

    python -m vidtx.main --config=experiments/k600_divided.py --workdir=runs/k600_divided

It begins with ViT-B/16 of ImageNet-21K, from which the paper reports 79.1 % top-1 and 94.4 % top-5
(Table 6); of the model released with their code the authors report the same.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k600", "kinetics600", argument)
