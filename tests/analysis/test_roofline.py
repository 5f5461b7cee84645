"""Times from costs."""

import dataclasses

import pytest

from vidtx.analysis.chips import CHIPS, peak_flops
from vidtx.analysis.collectives import Collective
from vidtx.analysis.compiled import Costs, Kernel
from vidtx.analysis.roofline import estimate_times
from vidtx.analysis.topology import read_topology

V5E = CHIPS["v5e"]
COSTS = Costs(
    flops=197 * 10**9,
    hbm_bytes=819 * 10**5,
    accessed_bytes=10**12,
    cycles=3 * 10**6,
    without_cycles=0,
    kernels=(),
    collectives=(),
    unknown_loops=0,
    loops=(),
)


def test_each_model_has_its_time():
    times = estimate_times(COSTS, V5E)
    assert times.compute == pytest.approx(1e-3)
    assert times.memory == pytest.approx(1e-4)
    assert (times.roofline, times.bound) == (times.compute, "compute")
    assert times.cycles == pytest.approx(3e6 / 1.503e9, rel=1e-3)
    assert times.step == times.cycles
    assert (times.communication, times.waited_for) == (0, 0)


def test_traffic_may_bound_it():
    times = estimate_times(dataclasses.replace(COSTS, hbm_bytes=819 * 10**7, cycles=None), V5E)
    assert (times.roofline, times.bound) == (pytest.approx(1e-2), "memory")
    assert times.cycles is None
    assert times.step == times.roofline


def test_kernels_run_at_the_peak_beside_the_cycles():
    kernels = (Kernel("known", 4, 197 * 10**9), Kernel("unknown", 9, None))
    times = estimate_times(dataclasses.replace(COSTS, kernels=kernels), V5E)
    assert times.cycles == pytest.approx(3e6 / V5E.clock + 4e-3)


def test_what_is_not_hidden_is_waited_for():
    one = Collective("all-gather", 180 * 10**6, group=4, times=2, is_async=True, source="")
    other = dataclasses.replace(one, kind="all-reduce", times=1, is_async=False)
    times = estimate_times(dataclasses.replace(COSTS, collectives=(one, other)), V5E)
    # All links of a v5e carry 180 GB/s: 2 × 3/4 of a millisecond, and twice that once.
    assert times.communication == pytest.approx(1.5e-3 + 1.5e-3)
    assert times.waited_for == pytest.approx(1.5e-3)
    assert times.step == pytest.approx(times.cycles + 1.5e-3)


def test_links_that_lead_nowhere_carry_nothing():
    one = Collective("all-gather", 180 * 10**6, group=4, times=2, is_async=True, source="")
    costs = dataclasses.replace(COSTS, collectives=(one,))
    shares = {"2x2": 0.5, "4x4": 1.0, "2x4": 0.75, "1x1": 1.0}
    for grid, share in shares.items():
        topology = read_topology(f"v5e:{grid}")
        assert topology.link_share == share
        times = estimate_times(costs, V5E, topology.link_share)
        assert times.communication == pytest.approx(1.5e-3 / share)
    assert read_topology("v5p:2x2x1").link_share == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("name", "clock"), [("v4", 1.05), ("v5e", 1.5), ("v5p", 1.75), ("v6e", 1.75), ("tpu7x", 2.2)]
)
def test_peaks_agree_with_clocks(name, clock):
    chip = CHIPS[name]
    assert chip.clock == pytest.approx(clock * 1e9, rel=0.003)
    assert chip.peak_flops == peak_flops(chip.kind)
