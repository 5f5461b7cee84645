"""TimeSformer-L on Something-Something V2: 64 frames of 224², as in the authors' code.

    python -m vidtx.main --config=experiments/ssv2_divided_l.py --workdir=runs/ssv2_divided_l

The recipe of ``ssv2_divided``. It begins with ViT-B/16 of ImageNet-1K (DeiT), from which the paper
reports 62.4 % top-1 (Tables 3 and 7), and 62.3 % with ``pretrain=in21k`` (Table 3); of the model
released with their code the authors report 62.0 % top-1 and 87.5 % top-5.
"""

from experiments import ssv2_divided


def get_config(argument=None):
    """The code's recipe; ``argument`` as of ``docs/recipes.md``."""
    return ssv2_divided.get_config(argument, size="l")
