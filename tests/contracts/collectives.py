"""What a compiled program says to other devices, read from its text."""

import math
import re
from typing import NamedTuple

_LINE = re.compile(
    r"= (?P<shapes>\(.*?\)|\S+) "
    r"(?P<kind>all-to-all|all-gather|all-reduce|reduce-scatter|collective-permute)(?:-start)?\("
)
_SHAPE = re.compile(r"\b[a-z]+\d*\[([\d,]*)\]")


class Collective(NamedTuple):
    """One array of one collective: what it is, and how many elements one device gets."""

    kind: str
    elements: int


def collectives(text):
    """Every array of every collective; an all-to-all, which comes in pieces, as one."""
    found = []
    for line in _LINE.finditer(text):
        sizes = [
            math.prod(int(length) for length in shape.split(",") if length)
            for shape in _SHAPE.findall(line["shapes"])
        ]
        if line["kind"] == "all-to-all":
            sizes = [sum(sizes)]
        found.extend(Collective(line["kind"], size) for size in sizes)
    return found
