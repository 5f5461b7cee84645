"""How long a compiled program takes at the least, by simple models of a chip.

Three models, none of which has run anything: the products at the chip's peak, the traffic at its
memory's bandwidth, and the compiler's own estimate of cycles at the chip's clock. The first two are
bounds (Williams et al., "Roofline", 2009). The third knows of layouts and vector units, but leaves
out Pallas kernels, here taken to run at the peak, and all communication.
"""

import dataclasses

from vidtx.analysis.chips import Chip
from vidtx.analysis.compiled import Costs


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds that one call of a program takes one device, by model.

    Attributes:
      compute: all products at the chip's bfloat16 peak.
      memory: all traffic with main memory at its bandwidth.
      cycles: the compiler's estimate, with known Pallas kernels at the peak; None without one.
      communication: bytes that a device must send, if all links that it has in the slice carried
        them; the network between slices is not modelled.
      waited_for: the part of ``communication`` that no other work goes on beside.
    """

    compute: float
    memory: float
    cycles: float | None
    communication: float
    waited_for: float

    @property
    def roofline(self) -> float:
        """The larger of ``compute`` and ``memory``: no program that does this work is faster."""
        return max(self.compute, self.memory)

    @property
    def bound(self) -> str:
        """Which of the two it is."""
        return "compute" if self.compute >= self.memory else "memory"

    @property
    def step(self) -> float:
        """The slowest of the models, and the communication that is waited for."""
        return max(self.roofline, self.cycles or 0.0) + self.waited_for


def estimate_times(costs: Costs, chip: Chip, link_share: float = 1.0) -> Times:
    """Times of a program on a chip.

    Args:
      costs: of one device.
      chip: the device's kind.
      link_share: of the chip's links, those that lead to another chip of the slice.
    """
    peak, link = chip.peak_flops, chip.ici_bandwidth * link_share
    kernels = sum(kernel.times * (kernel.flops or 0) for kernel in costs.kernels)
    sent = [(one.times * one.wire_bytes / link, one.is_async) for one in costs.collectives]
    return Times(
        compute=costs.flops / peak,
        memory=costs.hbm_bytes / chip.hbm_bandwidth,
        cycles=None if costs.cycles is None else costs.cycles / chip.clock + kernels / peak,
        communication=sum(seconds for seconds, _ in sent),
        waited_for=sum(seconds for seconds, is_async in sent if not is_async),
    )
