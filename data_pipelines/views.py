"""How many views of a video, as a person writes it: ``10x3``."""

from __future__ import annotations

import re

__all__ = ["parse_views"]

_VIEWS = re.compile(r"([1-9][0-9]{0,3})x([0-9]+)")
_CROPS = (1, 3)


def parse_views(text: str) -> tuple[int, int]:
    """Reads ``CLIPSxCROPS``.

    Returns:
        (clips over time, crops of each).

    Raises:
        ValueError: It is none, or has another number of crops than 1 or 3.
    """
    match = _VIEWS.fullmatch(text.strip().lower().replace("×", "x"))
    if match is None or int(match[2]) not in _CROPS:
        raise ValueError(
            f"views is {text!r}; it must be CLIPSxCROPS, such as 1x3 or 10x3: clips spread over "
            "the video, times 1 crop (the centre) or 3 (along the longer side)"
        )
    return int(match[1]), int(match[2])
