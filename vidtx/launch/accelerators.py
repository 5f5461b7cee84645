"""Cloud TPU slices by the names that Google Cloud sells them under: chips, hosts, topology."""

import dataclasses
import math
from collections.abc import Sequence

from vidtx.errors import ConfigError

__all__ = ["FAMILIES", "Accelerator", "read_accelerator"]


@dataclasses.dataclass(frozen=True)
class Family:
    """A generation of TPUs.

    Attributes:
      prefix: of the names of its slices.
      chip: as ``vidtx compile --topology`` names it.
      counted: what the number in a name counts for each chip: 1, the chip, or 2, its TensorCores.
      dimensions: of the network between chips; 2 or 3.
      cubes: of how many cubes of 4×4×4 chips its larger slices can be made; none where flat.
      runtime: version of the software that a TPU VM starts with, or None if none is known.
    """

    prefix: str
    chip: str
    counted: int
    dimensions: int
    cubes: Sequence[int]
    runtime: str | None


FAMILIES = (
    Family("v4", "v4", 2, 3, (1, 2, 4, 8, 12, 16, 32), "tpu-ubuntu2204-base"),
    Family("v5litepod", "v5e", 1, 2, (), "v2-alpha-tpuv5-lite"),
    Family("v5p", "v5p", 2, 3, range(1, 97), "v2-alpha-tpuv5"),
    Family("v6e", "v6e", 1, 2, (), "v2-alpha-tpuv6e"),
    Family("tpu7x", "tpu7x", 2, 3, range(1, 97), None),
)

_FLAT = {
    1: (1, 1), 4: (2, 2), 8: (2, 4), 16: (4, 4), 32: (4, 8), 64: (8, 8), 128: (8, 16),
    256: (16, 16),
}  # fmt: skip
_BELOW_A_CUBE = {4: (2, 2, 1), 8: (2, 2, 2), 16: (2, 2, 4), 32: (2, 4, 4)}
_CUBE = 4  # chips along each edge of what larger slices are made of
_LONGEST = 61  # cubes in a row
_OTHER_NAMES = {"v5e": "v5litepod", "v5lite": "v5litepod", "v7x": "tpu7x"}


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """One slice.

    Attributes:
      name: as Google Cloud has it, such as ``v5litepod-16``.
      family: its generation.
      chips: TPU chips.
      topology: chips along each axis of their network, such as ``4x4``.
    """

    name: str
    family: Family
    chips: int
    topology: str

    def hosts(self, *, gke: bool = False) -> int:
        """Machines, each a process of a job.

        Args:
          gke: of GKE's node pools as xpk makes them, where no machine has more than 4 chips; TPU
            VMs of v5e and v6e have up to 8.
        """
        alone = 8 if self.family.dimensions == 2 and not gke else 4
        return 1 if self.chips <= alone else self.chips // 4

    def described(self, slices: int = 1, *, gke: bool = False) -> str:
        """What it consists of, in words."""
        hosts = self.hosts(gke=gke)
        one = f"{self.name}: {_count(self.chips, 'chip')} ({self.compile_topology}), " + (
            f"{_count(hosts, 'host')} of {_count(self.chips // hosts, 'chip')}"
        )
        if slices == 1:
            return one
        total = f"{slices * self.chips:,} chips, {slices * hosts:,} hosts"
        return f"{slices} slices of {one}; {total}"

    @property
    def devices(self) -> int:
        """Devices as JAX counts them: chips, and on tpu7x each of a chip's two halves."""
        return self.chips * (2 if self.family.chip == "tpu7x" else 1)

    @property
    def compile_topology(self) -> str:
        """As ``vidtx compile --topology`` wants it, such as ``v5e:4x4``."""
        return f"{self.family.chip}:{self.topology}"


def read_accelerator(text: str) -> Accelerator:
    """The slice of a name such as ``v4-32``, ``v5litepod-16``, ``v5p-128`` or ``v6e-64``.

    Its topology is the one that is given unasked; for 3-D networks the most compact one.

    Raises:
      ConfigError: there is no such slice; the message says what there is.
    """
    prefix, _, number = text.partition("-")
    families = {family.prefix: family for family in FAMILIES}
    if prefix not in families or not (number.isascii() and number.isdigit()):
        meant = _OTHER_NAMES.get(prefix)
        hint = f" Google Cloud's name of {prefix} is {meant}-{number}." if meant else ""
        raise ConfigError(
            f"{text!r} is no type of TPU slice; write it as Google Cloud does, such as v4-32, "
            f"v5litepod-16, v5p-128, v6e-64 or tpu7x-8.{hint}"
        )
    family, size = families[prefix], int(number)
    sizes = _sizes(family)
    if size not in sizes:
        nearest = sorted(sorted(sizes, key=lambda other: abs(other - size))[:3])
        counted = "chips" if family.counted == 1 else "TensorCores, two a chip"
        raise ConfigError(
            f"{text!r}: slices of {prefix} have {_few(sizes)} {counted}; the nearest are "
            f"{', '.join(f'{prefix}-{near}' for near in nearest)}."
        )
    chips = size // family.counted
    return Accelerator(text, family, chips, "x".join(map(str, _axes(family, chips))))


def _sizes(family: Family) -> list[int]:
    """The numbers that names of slices have."""
    if family.dimensions == 2:
        return list(_FLAT)
    # A prime number of cubes would be a row of them, which no longer one is made of.
    whole = [_CUBE**3 * cubes for cubes in family.cubes if max(_block(cubes)) <= _LONGEST]
    return [chips * family.counted for chips in (*_BELOW_A_CUBE, *whole)]


def _axes(family: Family, chips: int) -> tuple[int, ...]:
    if family.dimensions == 2:
        return _FLAT[chips]
    if chips in _BELOW_A_CUBE:
        return _BELOW_A_CUBE[chips]
    return tuple(_CUBE * edge for edge in _block(chips // _CUBE**3))


def _block(count: int) -> tuple[int, int, int]:
    """So many cubes as a block whose longest edge is shortest."""
    blocks = (
        (short, middle, count // (short * middle))
        for short in range(1, math.isqrt(count) + 1)
        for middle in range(short, math.isqrt(count // short) + 1)
        if count % (short * middle) == 0
    )
    return min(blocks, key=lambda block: (block[-1], sum(block)))


def _few(sizes: list[int]) -> str:
    shown = [f"{size:,}" for size in sizes]
    return ", ".join(shown) if len(sizes) <= 8 else f"{', '.join(shown[:7])}, … or {shown[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
