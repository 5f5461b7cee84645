"""TimeSformer on Kinetics-400 as the authors' code trains and judges it, not as the paper says.

    python -m vidtx.main --config=experiments/k400_released.py --workdir=runs/k400_released

It differs from ``k400_divided``: frames are spread from the first to the last of a clip, whose
length counts at 30 frames per second; the one test clip starts at frame 0; logits are averaged over
its three crops, not probabilities; float32; position embeddings of another image size are resized
as a row, not as a picture (``hr``). Of the models released with that code the authors report 77.9 %
top-1 and 93.2 % top-5, 79.6 % and 94.0 % (``hr``: 16 frames of 448²), 80.6 % and 94.7 % (``l``: 96
frames).

That code begins with a ViT-B/16 trained on ImageNet-21K and then on ImageNet-1K, unless told
otherwise: ``--config.train.init_from=hf:google/vit-base-patch16-224``. This begins with one of
ImageNet-21K alone, as the paper says.

What the code does otherwise, and this does not: its random numbers repeat across the workers, its
crops never reach the last position, it resizes whole frames of floating-point numbers, and its
accuracy while training is that of random crops.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The code's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k400_released", "kinetics400", argument, own=_own)


def _own(config):
    config.model.dtype = "float32"
    config.data.sampling = "span"
    config.data.target_fps = 30.0
    config.train.init_resize = "nearest_1d"
    config.eval.temporal_position = "start"
    config.eval.average = "logits"
