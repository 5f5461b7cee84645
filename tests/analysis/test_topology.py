"""Slices that are not there."""

import os

import pytest

from vidtx.analysis.chips import CHIPS
from vidtx.analysis.topology import EXAMPLES, quiet, read_topology
from vidtx.errors import ConfigError


def test_devices_are_those_of_the_slice(on_a_slice):
    found = on_a_slice["topologies"]
    assert {name.split(":")[0] for name in found} == set(CHIPS)
    for name, (platform, kind, devices, slices) in found.items():
        text, _, count = name.partition(",")
        topology = read_topology(text, int(count))
        assert (platform, kind) == ("tpu", topology.chip.kind)
        assert (devices, slices) == (topology.num_devices, int(count))


@pytest.mark.parametrize(
    ("text", "slices", "name", "chips", "devices"),
    [
        ("v5e:4x4", 1, "v5e:4x4", 16, 16),
        ("V5E-4X4", 3, "v5e:4x4", 48, 48),
        ("v4:2x2x4", 1, "v4:2x2x4", 16, 16),  # a chip's two cores are one device
        ("v5p:4x8", 1, "v5p:4x8x1", 32, 32),
        ("tpu7x:2x2x1", 2, "tpu7x:2x2x1", 8, 16),  # and two of it here
    ],
)
def test_a_name(text, slices, name, chips, devices):
    found = read_topology(text, slices)
    assert (found.name, found.num_chips, found.num_devices) == (name, chips, devices)


@pytest.mark.parametrize("text", ["v9:2x2", "v5e", "v5litepod-16", "v5e:0x4", "v5e:axb", "", "4x4"])
def test_an_unknown_one_is_refused_with_those_that_are_known(text):
    with pytest.raises(ConfigError, match="such as v5e:4x4") as error:
        read_topology(text)
    assert f"--topology={text} " in str(error.value)
    assert all(f"{chip}:{grids[-1]}" in str(error.value) for chip, grids in EXAMPLES.items())


def test_a_grid_of_another_generation_and_one_too_large():
    with pytest.raises(ConfigError, match="slices of v6e have 2 lengths, not 3"):
        read_topology("v6e:2x2x2")
    with pytest.raises(ConfigError, match="65,536 chips"):
        read_topology("v5e:256x256")


def test_libraries_are_quiet_unless_something_breaks(capfd):
    with quiet():
        os.write(2, b"noise of a library\n")
    with pytest.raises(KeyError), quiet():
        raise KeyError(os.write(2, b"before it broke\n"))
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before it broke\nafter\n"
