"""TPU slices that are not there: their devices, for the compiler alone."""

import contextlib
import dataclasses
import importlib.util
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator

import jax
from jax.experimental import topologies

from vidtx.analysis.chips import CHIPS, Chip
from vidtx.errors import ConfigError, MachineError

# For libtpu, which would look for a TPU, and for the computer that it is in.
ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # it is only asked to compile
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",  # any; the topology that is compiled for decides
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}

# Sizes at which Google rents slices, from the pages on each generation; other grids can be compiled
# for as well.
EXAMPLES = {
    "v4": ("2x2x1", "2x2x4", "4x4x4", "4x4x8", "8x8x8"),
    "v5e": ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    "v5p": ("2x2x1", "2x2x2", "2x2x4", "4x4x4", "4x4x8", "8x8x8"),
    "v6e": ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    "tpu7x": ("2x2x1", "2x2x2", "2x2x4", "4x4x4", "4x4x8", "8x8x8"),
}

_LARGEST = 16_384  # chips of a slice; the largest v5p pod has 8,960
_TEXT = re.compile(r"(?P<chip>[a-z0-9]+)[:=-](?P<grid>[1-9]\d*(?:x[1-9]\d*){1,2})")


@dataclasses.dataclass(frozen=True)
class Topology:
    """One or several slices of one kind.

    Attributes:
      chip: the generation.
      grid: chips along each dimension of a slice.
      slices: how many; they are joined by the data centre's network (DCN), chips within one by
        their own links (ICI).
    """

    chip: Chip
    grid: tuple[int, ...]
    slices: int = 1

    @property
    def name(self) -> str:
        """As it is written, such as ``v5e:4x4``."""
        return f"{self.chip.name}:{'x'.join(map(str, self.grid))}"

    @property
    def num_chips(self) -> int:
        """Chips of all slices."""
        return math.prod(self.grid) * self.slices

    @property
    def num_devices(self) -> int:
        """Devices of all slices, as JAX counts them."""
        return self.num_chips * self.chip.devices_per_chip

    @property
    def link_share(self) -> float:
        """Of a chip's links, those that lead to another chip of the slice."""
        # None along an axis of one chip, and one, not two, along an axis of two.
        links = sum(min(length - 1, 2) for length in self.grid)
        return links / (2 * self.chip.axes) if links else 1.0

    def devices(self) -> list[jax.Device]:
        """Devices that programs can be compiled for, and that nothing can run on.

        Raises:
          MachineError: libtpu is not installed, or cannot make such devices.
        """
        if importlib.util.find_spec("libtpu") is None:
            raise MachineError(
                "libtpu, whose compiler this needs, is not installed; no TPU is needed. Install "
                "it: pip install 'vidtx[tpu]'."
            )
        options = {} if self.slices == 1 else {"num_slices": self.slices}
        if self.chip.name == "v4":
            options["chip_config_name"] = "megacore"  # one device a chip, as on real ones
        # Hosts hold two by two chips; smaller slices are of one host.
        if any(length % 2 for length in self.grid[:2]):
            host = [length if length < 2 else 2 - length % 2 for length in self.grid]
            options["chips_per_host_bounds"] = (*host[:2], 1)
        before = {name: os.environ.get(name) for name in ENVIRONMENT}
        try:
            for name, value in ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            with quiet():
                found = topologies.get_topology_desc(self.name, platform="tpu", **options)
        except (RuntimeError, ValueError) as error:
            raise MachineError(
                f"libtpu cannot compile for {self.name}: {error}\nUpdate it, with JAX: pip install "
                "-U 'vidtx[tpu]'."
            ) from error
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
        return list(found.devices)


def read_topology(text: str, slices: int = 1) -> Topology:
    """A topology from its name.

    Args:
      text: generation and grid of chips, such as ``v5e:4x4`` or ``v5p:2x2x2``.
      slices: how many such slices.

    Raises:
      ConfigError: no such topology; the message lists those that are known.
    """
    found = _TEXT.fullmatch(text.strip().lower())
    chip = CHIPS.get(found["chip"]) if found else None
    grid = tuple(int(length) for length in found["grid"].split("x")) if found else ()
    if chip is None:
        raise ConfigError(_unknown(f"--topology={text} is not known"))
    if len(grid) == 2 and chip.axes == 3:
        grid = (*grid, 1)
    if len(grid) != chip.axes:
        lengths = f"{chip.axes} lengths, not {len(grid)}"
        raise ConfigError(_unknown(f"--topology={text}: slices of {chip.name} have {lengths}"))
    if math.prod(grid) > _LARGEST:
        raise ConfigError(
            f"--topology={text} has {math.prod(grid):,} chips, more than any slice ({_LARGEST:,}). "
            "Take a smaller grid, or several slices: --slices=2."
        )
    return Topology(chip, grid, slices)


def _unknown(problem: str) -> str:
    known = "\n".join(f"  {chip}:{f', {chip}:'.join(grids)}" for chip, grids in EXAMPLES.items())
    return (
        f"{problem}. A topology is a generation and its grid of chips, such as v5e:4x4. Sizes that "
        f"can be rented:\n{known}"
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back what libraries write to standard error; all of it is shown if an error leaves.

    Below Python, where libtpu's compiler writes. Other threads' lines are held back as well.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        shown = True
        try:
            yield
            shown = False
        except (RuntimeError, ValueError):
            shown = False  # these say themselves what is wrong
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            if shown:
                held.seek(0)
                os.write(2, held.read())
