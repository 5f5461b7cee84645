"""The published data sets: under which name they are built, and how clips are cut from them.

What a recipe does on one of them alone stands in that recipe's file.
"""

from collections.abc import Mapping
from typing import NamedTuple


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


class Dataset(NamedTuple):
    """A data set.

    Attributes:
      eval_split: that it is judged on.
      sizes: of clips, by name; the first is the default.
      sampling: how frames are chosen, as ``data.sampling`` has it.
      flip: whether clips may be mirrored; False where classes tell left from right.
      fixed_stride: whether more frames make a clip longer; otherwise they lie closer.
    """

    eval_split: str
    sizes: Mapping[str, Size] = SIZES
    sampling: str = "stride"
    flip: bool = True
    fixed_stride: bool = False

    def stride(self, frames: int) -> int:
        """Stride of so many frames.

        The published one where there is one, and otherwise that with which a clip lasts as long as
        one of the default size. For clips of 32 and 64 frames the paper gives none.
        """
        base = next(iter(self.sizes.values()))
        if self.fixed_stride:
            return base.stride
        published = {size.frames: size.stride for size in self.sizes.values()}
        return published.get(frames, max(1, base.frames * base.stride // frames))


DATASETS = {
    "kinetics400": Dataset("validation"),
    "kinetics600": Dataset("validation"),
    # Segments have no stride: a clip spans its video. L has 64 frames in the authors' code.
    "something_something_v2": Dataset(
        "validation", {**SIZES, "l": Size(64, 4, 224)}, sampling="segments", flip=False
    ),
    "diving48": Dataset("test"),
    "howto100m": Dataset("test", {"base": SIZES["base"]}, fixed_stride=True),
    # These videos last 7 s and 3 s on average, not 10.
    "ucf101": Dataset("test", {"base": Size(8, 16, 224), "hr": Size(16, 8, 448)}),
    "hmdb51": Dataset("test", {"base": Size(8, 8, 224), "hr": Size(16, 4, 448)}),
}
