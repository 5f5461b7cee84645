"""What chips can do at most, and how much of that a training run uses."""

import dataclasses

import jax

from vidtx.analysis.cost import count_macs
from vidtx.models import TimeSformer

# Dense bfloat16 (V100: float16) multiply-adds count as two FLOPs; of one device as JAX counts them,
# from the makers' data sheets. The longest beginning of a device's kind decides.
_PEAK_TFLOPS = {
    "TPU v2": 22.5,
    "TPU v3": 61.5,
    "TPU v4": 275.0,
    "TPU v5 lite": 197.0,
    "TPU v5": 459.0,
    "TPU v6 lite": 918.0,
    "TPU7x": 2307.0 / 2,  # of one of a chip's two devices
    "NVIDIA A100": 312.0,
    "NVIDIA H100": 989.4,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H200": 989.4,
    "NVIDIA B200": 2250.0,
    "NVIDIA L4": 121.0,
    "Tesla V100": 125.0,
}


@dataclasses.dataclass(frozen=True)
class Chip:
    """A TPU generation; amounts are of one device as JAX counts them.

    Attributes:
      name: such as ``v5e``.
      kind: as `jax.Device.device_kind` begins.
      devices_per_chip: 1, or 2 where JAX takes each core of a chip for a device.
      flops_per_cycle: bfloat16 FLOPs that the matrix units do in a cycle: two for each cell.
      hbm_bytes: main memory that a program may use, bytes; some of the chip's is reserved.
      hbm_bandwidth: bytes per second.
      vmem_bytes: vector memory, bytes.
      ici_bandwidth: bytes per second that all links to other chips of the slice carry, one way.
      axes: dimensions of the grid that slices are cut from.
    """

    name: str
    kind: str
    devices_per_chip: int
    flops_per_cycle: int
    hbm_bytes: int
    hbm_bandwidth: float
    vmem_bytes: int
    ici_bandwidth: float
    axes: int

    @property
    def peak_flops(self) -> float:
        """Dense bfloat16 FLOP/s."""
        return peak_flops(self.kind)

    @property
    def clock(self) -> float:
        """Cycles per second of the matrix units, from their number and the peak."""
        return self.peak_flops / self.flops_per_cycle


_GIB = 2**30

# FLOPs per cycle: the power of two that agrees with a clock of 1.05 (v4), 1.5 (v5e), 1.75
# (v5p, v6e) and 2.2 GHz (TPU7x), and with libtpu's own estimate, which puts a bfloat16 product of
# 8192³ at 93, 88, 90, 70 and 80 % of it.
# HBM: what libtpu 0.0.42 lets a program have, as its message "exceeds available HBM" says.
# HBM bandwidth and VMEM: Google's pages on each generation, and `TpuInfo` of JAX's Pallas.
# ICI: links × what one carries one way in practice, 45 GB/s (v4, v5e) or 90 GB/s (the others),
# after Austin et al., "How to Scale Your Model" (2025), chapter 2.
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", "TPU v4", 1, 2**18, int(30.75 * _GIB), 1228e9, 32 * 2**20, 6 * 45e9, 3),
        Chip("v5e", "TPU v5 lite", 1, 2**17, int(15.75 * _GIB), 819e9, 128 * 2**20, 4 * 45e9, 2),
        Chip("v5p", "TPU v5", 1, 2**18, int(95.74 * _GIB), 2765e9, 128 * 2**20, 6 * 90e9, 3),
        Chip("v6e", "TPU v6 lite", 1, 2**19, int(31.25 * _GIB), 1640e9, 128 * 2**20, 4 * 90e9, 2),
        Chip("tpu7x", "TPU7x", 2, 2**19, int(94.75 * _GIB), 7380e9 / 2, 64 * 2**20, 3 * 90e9, 3),
    )
}


def peak_flops(device_kind: str) -> float | None:
    """Dense bfloat16 FLOP/s of a device, or None if the chip is not known.

    Args:
      device_kind: as `jax.Device.device_kind` has it, such as ``TPU v5 lite``.
    """
    known = [name for name in _PEAK_TFLOPS if device_kind.startswith(name)]
    return _PEAK_TFLOPS[max(known, key=len)] * 1e12 if known else None


def utilisation(model: TimeSformer, device: jax.Device, clips_per_second: float) -> float | None:
    """Model FLOPs utilisation (MFU) of training, a share of the chip's peak; None if not known.

    A training step is counted as three forward passes (Chowdhery et al. 2022, Appendix B), a
    forward pass as its analytic multiply-adds: what is computed twice to save memory counts once.
    The peak is that of bfloat16, whatever the run computes in.

    Args:
      model: what is trained, at its own clip size.
      device: one of the devices.
      clips_per_second: that one device takes.
    """
    peak = peak_flops(device.device_kind)
    return peak and 3 * 2 * count_macs(model).total * clips_per_second / peak
