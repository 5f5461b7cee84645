"""How fast chips can multiply, and how much of that a training run uses."""

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
    "NVIDIA A100": 312.0,
    "NVIDIA H100": 989.4,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H200": 989.4,
    "NVIDIA B200": 2250.0,
    "NVIDIA L4": 121.0,
    "Tesla V100": 125.0,
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
