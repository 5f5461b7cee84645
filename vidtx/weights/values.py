"""Values of configs, which may be anything: checked, or refused as Python does."""

import math
from collections.abc import Mapping
from typing import Any


def whole(value: Any) -> int | None:
    """A whole number of at least 0; None for None.

    Raises:
      TypeError, ValueError, OverflowError: it is none. So do the functions below.
    """
    if value is not None and int(value) < 0:
        raise ValueError(f"{value} is below 0")
    return None if value is None else int(value)


def sides(value: Any) -> tuple[int, int] | None:
    """``(height, width)`` of one number for both, two numbers, or the two by name.

    Raises:
      KeyError: it has other names.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        value = [value["height"], value["width"]]
    height, width = map(int, value if isinstance(value, list | tuple) else (value, value))
    if height < 1 or width < 1:
        raise ValueError(f"{height} by {width} pixels are no picture")
    return height, width


def short_side(size: Any) -> int | None:
    """The shorter side of what a picture is resized or cut to; None where that is not said."""
    if isinstance(size, Mapping):
        if size.get("shortest_edge") is not None:
            return sides(size["shortest_edge"])[0]
        if not {"height", "width"} <= size.keys():  # of no use here, such as longest_edge
            return None
    both = sides(size)
    return None if both is None else min(both)


def three(value: Any) -> list[float] | None:
    """A finite number for each of three channels, of a list or of one number for all."""
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3:
        raise ValueError(f"{values} is not a number for each of three channels")
    numbers = [float(one) for one in values]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{values} are not all finite")
    return numbers


def positive(value: Any) -> list[float] | None:
    """The same, above 0: deviations."""
    values = three(value)
    if values is not None and min(values) <= 0:
        raise ValueError(f"{values} is no deviation: all must be above 0")
    return values
