"""TimeSformer on Something-Something V2: 174 classes, some of which tell left from right.

    python -m vidtx.main --config=experiments/ssv2_divided.py --workdir=runs/ssv2_divided

A scheme, a size (``hr``: 16 frames of 448²; ``l``: 64 frames) or both behind a colon. The recipe is
the authors' code's: one frame of each of 8 equal parts of the video, a shorter side whose inverse
is uniform, no mirroring, frames fed as BGR, logits averaged over three crops. The paper starts from
ImageNet weights and reports 59.5 %, 62.2 % (HR) and 62.4 % (L) top-1 (Table 6); of the models
released with that code the authors report 59.1 %, 61.8 % and 62.0 %.
"""

from experiments.recipes import SIZES, Size, recipe


def get_config(argument=None):
    """The code's recipe; ``argument`` is a scheme (divided unless given), a size, or both."""
    sizes = {**SIZES, "l": Size(64, 4, 224)}  # segments have no stride
    config = recipe("ssv2", "something_something_v2", argument, sizes=sizes)
    config.data.sampling = "segments"
    config.data.short_side_draw = "inverse"
    config.data.flip = False
    config.data.channel_order = "bgr"
    config.eval.average = "logits"
    return config
