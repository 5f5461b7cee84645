"""The published data sets: under which name they are built, how clips are cut, how one judges.

It holds for every recipe on them. What one recipe does alone stands in that recipe's file.
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
      target_fps: what the stride counts in, frames per second; None: each video's own rate.
      short_side_draw: how a training video's shorter side is drawn, as ``data.short_side_draw``.
      average: of a video's views, as ``eval.average`` has it.
      covering: how many clips of the default size, one behind the other, cover a video on average:
        it is judged on such clips; 0: on one clip from its middle.
    """

    eval_split: str
    sizes: Mapping[str, Size] = SIZES
    sampling: str = "stride"
    flip: bool = True
    fixed_stride: bool = False
    target_fps: float | None = None
    short_side_draw: str = "uniform"
    average: str = "softmax"
    covering: int = 0

    def stride(self, frames: int) -> int:
        """Stride of so many frames.

        The published one where there is one, and otherwise that with which a clip lasts as long as
        one of the default size. For clips of 32 and 64 frames the paper gives none.
        """
        base = self._base
        if self.fixed_stride:
            return base.stride
        published = {size.frames: size.stride for size in self.sizes.values()}
        return published.get(frames, max(1, base.frames * base.stride // frames))

    def views(self, frames: int) -> int:
        """At most so many clips of so many frames cover a video: twice the average."""
        return max(1, 2 * self.covering * self._base.frames // frames)

    @property
    def _base(self) -> Size:
        return next(iter(self.sizes.values()))


def known(name: str) -> Dataset | None:
    """What is known of a data set, or None.

    Args:
      name: as ``data.name`` has it: ``NAME`` or ``NAME:VERSION``.
    """
    return DATASETS.get(name.partition(":")[0])


DATASETS = {
    "kinetics400": Dataset("validation"),
    "kinetics600": Dataset("validation"),
    "kinetics700": Dataset("validation"),  # not in the paper; clips of 10 s, as its older ones
    # The authors' code's. Segments have no stride: a clip spans its video. L has 64 frames.
    "something_something_v2": Dataset(
        "validation",
        {**SIZES, "l": Size(64, 4, 224)},
        sampling="segments",
        flip=False,
        short_side_draw="inverse",
        average="logits",
    ),
    "diving48": Dataset("test"),
    # Minutes long: 48 clips of 8 frames cover a video on average (Table 8).
    "howto100m": Dataset(
        "test", {"base": SIZES["base"]}, fixed_stride=True, target_fps=30.0, covering=48
    ),
    # These videos last 7 s and 3 s on average, not 10.
    "ucf101": Dataset("test", {"base": Size(8, 16, 224), "hr": Size(16, 8, 448)}),
    "hmdb51": Dataset("test", {"base": Size(8, 8, 224), "hr": Size(16, 4, 448)}),
}
