"""RandAugment (arXiv 1909.13719) and colour jitter: what is drawn, and doing it to a clip.

One draw serves the whole clip: every frame is treated alike. Nothing here mirrors pictures, so that
classes which tell left from right keep their meaning; shears, shifts and turns go either way with
equal chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.augmentation import color, geometry

__all__ = [
    "MAX_MAGNITUDE",
    "RAND_AUGMENT",
    "Operation",
    "apply",
    "draw_color_jitter",
    "draw_rand_augment",
]

MAX_MAGNITUDE = 10.0


class Operation(NamedTuple):
    """One operation on a clip.

    Attributes:
        name: Such as ``rotate``.
        value: What its function takes beside the clip; None where it takes nothing.
    """

    name: str
    value: float | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name} {self.value:.3g}"


_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "identity": lambda clip: clip,
    "auto_contrast": color.auto_contrast,
    "equalize": color.equalize,
    "rotate": geometry.rotate,
    "solarize": color.solarize,
    "color": color.saturation,
    "posterize": color.posterize,
    "contrast": color.contrast,
    "brightness": color.brightness,
    "sharpness": color.sharpness,
    "shear_x": geometry.shear_x,
    "shear_y": geometry.shear_y,
    "translate_x": geometry.translate_x,
    "translate_y": geometry.translate_y,
}


def _signed(most: float) -> Callable[[float, int], float]:
    return lambda strength, sign: sign * strength * most


def _enhanced(strength: float, sign: int) -> float:
    return 1 + sign * strength * 0.9


# The paper's fourteen operations: (strength in [0, 1], sign 1 or -1) to the value. Ranges are
# AutoAugment's (arXiv 1805.09501, Table 6): degrees, a share of 150/331 of a side, 4 to 8 bits,
# factors of 0.1 to 1.9. A higher magnitude always changes a clip more, as in torchvision, timm's
# "increasing" variants and pytorchvideo; in the paper's own code posterize and solarize weaken, and
# the four factors have their least effect in the middle.
RAND_AUGMENT: dict[str, Callable[[float, int], float] | None] = {
    "identity": None,
    "auto_contrast": None,
    "equalize": None,
    "rotate": _signed(30.0),
    "solarize": lambda strength, sign: 256 * (1 - strength),
    "color": _enhanced,
    "posterize": lambda strength, sign: 8 - round(4 * strength),
    "contrast": _enhanced,
    "brightness": _enhanced,
    "sharpness": _enhanced,
    "shear_x": _signed(0.3),
    "shear_y": _signed(0.3),
    "translate_x": _signed(150 / 331),
    "translate_y": _signed(150 / 331),
}


def draw_rand_augment(count: int, magnitude: float, rng: np.random.Generator) -> list[Operation]:
    """Draws operations uniformly and independently, all of one magnitude, as in the paper.

    timm and pytorchvideo also skip each operation half of the time and draw its magnitude about the
    one that is given; here neither is done.

    Args:
        count: Operations; the paper's N.
        magnitude: In 0 … 10, the paper's M.
        rng: Source of the draws.
    """
    names = list(RAND_AUGMENT)
    operations = []
    for number, sign in zip(
        rng.integers(len(names), size=count), 1 - 2 * rng.integers(2, size=count), strict=True
    ):
        value = RAND_AUGMENT[names[number]]
        strength = magnitude / MAX_MAGNITUDE
        operations.append(
            Operation(names[number], None if value is None else value(strength, int(sign)))
        )
    return operations


def draw_color_jitter(strength: float, rng: np.random.Generator) -> list[Operation]:
    """Draws a change of brightness, contrast and saturation each, and their order.

    As torchvision's and timm's ``ColorJitter(strength, strength, strength)``: each factor is
    uniform in [max(0, 1 - strength), 1 + strength], each order equally likely.

    Args:
        strength: Largest relative change.
        rng: Source of the draws.
    """
    factors = rng.uniform(max(0.0, 1 - strength), 1 + strength, size=3)
    names = ("brightness", "contrast", "color")
    return [Operation(names[number], float(factors[number])) for number in rng.permutation(3)]


def apply(clip: np.ndarray, operations: Sequence[Operation]) -> np.ndarray:
    """Does operations one after the other.

    Args:
        clip: uint8 [T, height, width, 3], RGB; left as it is.
        operations: As drawn above.

    Returns:
        uint8 [T, height, width, 3]; ``clip`` itself if nothing was to be done.
    """
    for operation in operations:
        function = _FUNCTIONS[operation.name]
        clip = function(clip) if operation.value is None else function(clip, operation.value)
    return clip
