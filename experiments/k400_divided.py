"""TimeSformer on Kinetics-400, 8 frames of 224² at a stride of 32 (Tables 1 and 5).

    python -m vidtx.main --config=experiments/k400_divided.py --workdir=runs/k400_divided

Another scheme of Table 1 behind a colon, such as ``experiments/k400_divided.py:joint``; also a
size, ``hr`` (16 frames of 448²) or ``l`` (96 frames), or both: ``:joint,hr``. The paper starts from
ImageNet weights and reports 78.0 % top-1, 79.7 % (HR) and 80.7 % (L); trained from scratch, as
here, it reports 64.8 % with a longer schedule and more augmentation.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` is a scheme (divided unless given), a size, or both."""
    return recipe("k400", "kinetics400", argument)
