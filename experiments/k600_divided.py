"""TimeSformer on Kinetics-600, with the recipe of Kinetics-400 (Table 6).

    python -m vidtx.main --config=experiments/k600_divided.py --workdir=runs/k600_divided

A scheme, a size (``hr``: 16 frames of 448²; ``l``: 96 frames) or both behind a colon. The paper
starts from ImageNet weights and reports 79.1 %, 81.8 % (HR) and 82.2 % (L) top-1.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` is a scheme (divided unless given), a size, or both."""
    return recipe("k600", "kinetics600", argument)
