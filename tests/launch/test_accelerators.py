"""Types of slices: chips, hosts and topologies, as Google Cloud has them."""

import pytest

from vidtx.errors import ConfigError
from vidtx.launch import read_accelerator


@pytest.mark.parametrize(
    ("name", "topology", "chips", "hosts", "hosts_of_gke"),
    [
        ("v4-8", "v4:2x2x1", 4, 1, 1),
        ("v4-32", "v4:2x2x4", 16, 4, 4),
        ("v4-2048", "v4:8x8x16", 1024, 256, 256),
        ("v5litepod-1", "v5e:1x1", 1, 1, 1),
        ("v5litepod-8", "v5e:2x4", 8, 1, 2),
        ("v5litepod-16", "v5e:4x4", 16, 4, 4),
        ("v5litepod-256", "v5e:16x16", 256, 64, 64),
        ("v5p-8", "v5p:2x2x1", 4, 1, 1),
        ("v5p-128", "v5p:4x4x4", 64, 16, 16),
        ("v5p-256", "v5p:4x4x8", 128, 32, 32),
        ("v5p-1536", "v5p:8x8x12", 768, 192, 192),
        ("v5p-12288", "v5p:16x16x24", 6144, 1536, 1536),
        ("v6e-8", "v6e:2x4", 8, 1, 2),
        ("v6e-64", "v6e:8x8", 64, 16, 16),
        ("tpu7x-128", "tpu7x:4x4x4", 64, 16, 16),
    ],
)
def test_a_slice_is_known_by_its_name(name, topology, chips, hosts, hosts_of_gke):
    accelerator = read_accelerator(name)
    assert accelerator.compile_topology == topology
    assert accelerator.chips == chips
    assert accelerator.hosts() == hosts
    assert accelerator.hosts(gke=True) == hosts_of_gke


@pytest.mark.parametrize(
    "name", ["", "v4", "v5p-", "v5litepod-2", "v5litepod-512", "v4-12", "v5p-8448x", "v5p-²"]
)
def test_what_is_none_is_refused(name):
    with pytest.raises(ConfigError, match=r"is no type of TPU slice|the nearest are"):
        read_accelerator(name)
