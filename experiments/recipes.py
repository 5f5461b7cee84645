"""What the experiments on published data sets share: the paper's recipe at its sizes.

Numbers are of the paper (arXiv 2102.05095) and of the authors' code. The authors begin every model
with ImageNet weights; ``train.init_from`` begins with another run's.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ml_collections import ConfigDict

from experiments.defaults import defaults


class Size(NamedTuple):
    """Size of a clip.

    Attributes:
      frames: in it.
      stride: from one to the next.
      side: height and width in pixels; 224 or 448.
    """

    frames: int
    stride: int
    side: int


# TimeSformer, TimeSformer-HR and TimeSformer-L. HR's stride is the code's.
SIZES = {"base": Size(8, 32, 224), "hr": Size(16, 16, 448), "l": Size(96, 4, 224)}


def recipe(
    experiment: str,
    dataset: str,
    argument: str | None = None,
    *,
    eval_split: str = "validation",
    sizes: Mapping[str, Size] = SIZES,
) -> ConfigDict:
    """The paper's recipe on a data set: 15 epochs, one clip from the middle, three crops.

    Args:
      experiment: the config's name begins with it.
      dataset: name of the data set.
      argument: an attention scheme, one of ``sizes``, or both with a comma between them; divided
        attention at the first size unless given.
      eval_split: the split to be judged on.
      sizes: by name.

    Raises:
      ValueError: the argument has two schemes, two sizes or an empty part.
    """
    words = argument.split(",") if argument else []
    named = [word for word in words if word in sizes]
    schemes = [word for word in words if word not in sizes]  # an unknown one is refused later
    if len(named) > 1 or len(schemes) > 1 or "" in words:
        raise ValueError(
            f"the argument is {argument!r}; it may be an attention scheme, a size "
            f"({', '.join(sizes)}), or both with a comma between them."
        )
    size = named[0] if named else next(iter(sizes))
    frames, stride, side = sizes[size]

    config = defaults()
    config.model.scheme = schemes[0] if schemes else "divided"
    config.name = f"{experiment}_{config.model.scheme}" + (f"_{size}" if named else "")
    config.model.dtype = "bfloat16"
    config.data.name = dataset
    config.data.eval_split = eval_split
    config.data.frames = frames
    config.data.stride = stride
    config.data.image_size = (side, side)
    config.data.short_side = {224: (256, 320), 448: (448, 512)}[side]
    config.data.eval_short_side = side
    config.data.threads = 16
    config.train.epochs = 15.0
    return config
