"""Kinetics-400 with space-only attention, 8 frames of 224² at a stride of 32 (Table 1).

    python -m vidtx.main --config=experiments/k400_space.py --workdir=runs/k400_space

The recipe is Appendix A's. It begins with ViT-B/16 of ImageNet-21K, from which the paper reports
76.9 % top-1, with 85.9 M parameters (of 174 classes).
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k400", "kinetics400", argument, scheme="space")
