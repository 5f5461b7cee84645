"""TimeSformer on Something-Something V2: 174 classes, some of which tell left from right.

    python -m vidtx.main --config=experiments/ssv2_divided.py --workdir=runs/ssv2_divided

8 frames of 224². The recipe is the authors' code's: one frame of each of 8 equal parts of the
video, a shorter side whose inverse is uniform, no mirroring, frames fed as BGR, logits averaged
over three crops. It begins with ViT-B/16 of ImageNet-1K (DeiT), from which the paper reports 59.5 %
top-1 (Tables 3 and 7); of the model released with that code the authors report 59.1 % top-1 and
85.6 % top-5.

With ``pretrain=in21k`` 59.5 % as well (Table 3), and from there, in Table 1, ``space`` 36.6 %,
``joint`` 58.5 %, ``sparse_local_global`` 56.3 %, ``axial`` 56.2 %; in Table 4 ``positions=none``
45.8 %, ``positions=space`` 52.5 %.
"""

from experiments.recipes import recipe


def get_config(argument=None, size="base"):
    """The code's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("ssv2", "something_something_v2", argument, size=size, pretrain="in1k", own=_own)


def _own(config):
    if "timesformer" not in (config.train.init_from or ""):  # those of Kinetics-400 are fed as RGB
        config.data.channel_order = "bgr"
