"""TimeSformer on Kinetics-400 as the authors' code trains and judges it, not as the paper says.

    python -m vidtx.main --config=experiments/k400_released.py --workdir=runs/k400_released

A scheme, a size (``hr``: 16 frames of 448²; ``l``: 96 frames) or both behind a colon, such as
``experiments/k400_released.py:joint,hr``. It differs from ``k400_divided``: frames are spread from
the first to the last of a clip, whose length counts at 30 frames per second; the one test clip
starts at frame 0; logits are averaged over its three crops, not probabilities; float32. Of the
models released with that code, which started from ImageNet weights, the authors report 77.9 %,
79.6 % (HR) and 80.6 % (L) top-1.

What the code does otherwise, and this does not: its random numbers repeat across the workers, its
crops never reach the last position, it resizes whole frames of floating-point numbers, and its
accuracy while training is that of random crops.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The code's recipe; ``argument`` is a scheme (divided unless given), a size, or both."""
    config = recipe("k400_released", "kinetics400", argument)
    config.model.dtype = "float32"
    config.data.sampling = "span"
    config.data.target_fps = 30.0
    config.eval.temporal_position = "start"
    config.eval.average = "logits"
    return config
