"""TimeSformer-HR on Something-Something V2: 16 frames of 448².

    python -m vidtx.main --config=experiments/ssv2_divided_hr.py --workdir=runs/ssv2_divided_hr

The recipe of ``ssv2_divided``. It begins with ViT-B/16 of ImageNet-1K (DeiT), from which the paper
reports 62.2 % top-1 (Tables 3 and 7), and 62.5 % with ``pretrain=in21k`` (Table 3); of the model
released with their code the authors report 61.8 % top-1 and 86.9 % top-5.
"""

from experiments import ssv2_divided


def get_config(argument=None):
    """The code's recipe; ``argument`` as of ``docs/recipes.md``."""
    return ssv2_divided.get_config(argument, size="hr")
