"""TimeSformer on Diving-48 (V2), with the recipe of Kinetics-400 (Table 7).

    python -m vidtx.main --config=experiments/diving48_divided.py --workdir=runs/diving48_divided

A scheme, a size (``hr``: 16 frames of 448²; ``l``: 96 frames) or both behind a colon. The paper
starts from ImageNet-1K weights and reports 74.9 %, 78.0 % (HR) and 81.0 % (L) top-1.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` is a scheme (divided unless given), a size, or both."""
    return recipe("diving48", "diving48", argument, eval_split="test")
