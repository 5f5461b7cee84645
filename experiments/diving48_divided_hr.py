"""TimeSformer-HR on Diving-48 (V2): 16 frames of 448² at a stride of 16.

    python -m vidtx.main --config=experiments/diving48_divided_hr.py --workdir=runs/diving48_hr

It begins with ViT-B/16 of ImageNet-1K (DeiT), from which the paper reports 78.0 % top-1 (Table 7).
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("diving48", "diving48", argument, pretrain="in1k", size="hr")
