"""Kinetics-400 with sparse local-global attention, 8 frames of 224² at a stride of 32 (Table 1).

    python -m vidtx.main --config=experiments/k400_sparse_local_global.py --workdir=runs/k400_sparse

The recipe is Appendix A's. It begins with ViT-B/16 of ImageNet-21K, from which the paper reports
75.9 % top-1, with 121.4 M parameters (of 174 classes).
The authors never released its code; ``WORKSPACE.md`` names the choices that the paper leaves open.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k400", "kinetics400", argument, scheme="sparse_local_global")
