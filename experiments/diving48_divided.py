"""TimeSformer on Diving-48 (V2): 8 frames of 224² at a stride of 32, as on Kinetics-400.

    python -m vidtx.main --config=experiments/diving48_divided.py --workdir=runs/diving48

It begins with ViT-B/16 of ImageNet-1K (DeiT), from which the paper reports 74.9 % top-1 (Table 7).
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("diving48", "diving48", argument, pretrain="in1k")
