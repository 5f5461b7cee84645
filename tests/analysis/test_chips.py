import types

import jax
import pytest

import vidtx
from vidtx.analysis import count_macs, peak_flops, utilisation


@pytest.mark.parametrize(
    ("kind", "tera"),
    [
        ("TPU v5 lite", 197),
        ("TPU v5", 459),
        ("TPU v6 lite", 918),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-40GB", 312),
    ],
)
def test_a_known_chip_has_a_peak(kind, tera):
    assert peak_flops(kind) == pytest.approx(tera * 1e12)


def test_an_unknown_chip_has_none():
    assert peak_flops("cpu") is None
    model = vidtx.create_model("timesformer_ti16")
    assert utilisation(model, jax.devices("cpu")[0], 100.0) is None


def test_utilisation_is_three_forward_passes_against_the_peak():
    """The paper's model on a v5e that takes 83.8 clips a second would use half of it."""
    model = vidtx.create_model("timesformer_b16", num_classes=400)
    chip = types.SimpleNamespace(device_kind="TPU v5 lite")
    flops = 2 * 3 * count_macs(model).total
    assert flops == pytest.approx(1.175e12, rel=1e-3)
    assert utilisation(model, chip, 0.5 * 197e12 / flops) == pytest.approx(0.5)
