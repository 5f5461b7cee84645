"""What lies where: axes, rows of a batch, weights, and what the start-up check says of them."""

import jax
import pytest

from tests.sharding.meshes import ALL, named
from tests.tiny_run import run_program
from vidtx.config import MeshSpec
from vidtx.errors import ConfigError
from vidtx.models import SCHEMES
from vidtx.sharding import make_mesh


@pytest.fixture(scope="module")
def found():
    return run_program("tests.sharding.placed_on_eight")


@pytest.mark.parametrize(
    ("asked", "lengths"),
    [
        ("-1x1x1x1", [8, 1, 1, 1]),
        ("-1x2x1x2", [2, 2, 1, 2]),
        ("2x-1x1x1", [2, 4, 1, 1]),
        ("1x1x-1x2", [1, 1, 4, 2]),
        ("1x2x2x-1", [1, 2, 2, 2]),
        ("8x1x1x1", [8, 1, 1, 1]),
        ("2x1x2x2", [2, 1, 2, 2]),
    ],
)
def test_the_axes_fill_the_devices(found, asked, lengths):
    assert found["shapes"][asked] == lengths


@pytest.mark.parametrize(
    ("asked", "hold", "why", "cure"),
    [
        ("3x-1x1x1", 3, "it must divide them", "Set mesh.data=-1"),
        ("2x2x1x1", 4, "the two must be equal", "Set mesh.data=-1"),
        ("9x1x1x1", 9, "the two must be equal", "Set mesh.data=-1"),
        ("-1x3x1x1", 3, "it must divide them", "Lower another axis"),
    ],
)
def test_a_product_that_does_not_fit_is_refused(found, asked, hold, why, cure):
    message = found["shapes"][asked]
    assert f"hold {hold} devices, but there are 8: {why}" in message
    assert cure in message


@pytest.mark.parametrize("lengths", ALL)
def test_each_device_gets_the_rows_of_its_part(found, lengths):
    placed = found["placed"][named(lengths)]
    parts = lengths[0] * lengths[1]
    assert placed["rows_of_process"] == [[0], 1]
    starts = [16 // parts * part for part in range(parts)]
    assert placed["starts"] == sorted(starts * (8 // parts))
    assert placed["equal"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whatever_is_as_wide_as_the_embedding_is_split(found, scheme):
    weights = found["weights"][scheme]
    matrices = [name for name, (shape, _) in weights.items() if len(shape) >= 2]
    assert len(matrices) > 12
    for name in matrices:
        shape, axes = weights[name]
        assert axes.count("fsdp") == 1, name
        assert shape[axes.index("fsdp")] == 16, name
    # Nothing is split over an axis that splits clips alone.
    assert {axis for _, axes in weights.values() for axis in axes} == {None, "fsdp", "tensor"}


@pytest.mark.parametrize(
    ("layer", "kernel", "bias"),
    [
        ("attention.qkv", ["fsdp", "tensor"], ["tensor"]),
        ("attention.out", ["tensor", "fsdp"], ["fsdp"]),
        ("mlp.fc1", ["fsdp", "tensor"], ["tensor"]),
        ("mlp.fc2", ["tensor", "fsdp"], ["fsdp"]),
    ],
)
def test_heads_and_hidden_layers_are_split_by_tensor(found, layer, kernel, bias):
    for weights in found["weights"].values():
        assert weights[f"params.block_0.{layer}.kernel"][1] == kernel
        assert weights[f"params.block_0.{layer}.bias"][1] == bias


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_optimiser_s_moments_lie_with_their_weights(found, scheme):
    weights = found["weights"][scheme]
    params = {name: value for name, value in weights.items() if name.startswith("params.")}
    assert len(params) > 15
    for name, value in params.items():
        moments = [
            other for place, other in weights.items()
            if place.endswith(f".trace.{name.removeprefix('params.')}")
        ]  # fmt: skip
        assert moments == [value], name


def test_no_device_holds_more_than_its_share_of_the_first_state(found):
    weights = found["weights"]["divided"]
    split = 0
    for name, (size, parts, devices, lies_right) in found["held"].items():
        shares = 2 ** len([axis for axis in weights[name][1] if axis])
        assert parts == [size // shares], name
        assert devices == 8, name
        assert lies_right, name
        split += shares == 4
    assert split >= 12
    actual, foretold = found["memory"]
    assert actual == [foretold]


def test_the_first_state_does_not_depend_on_the_mesh(found):
    assert found["first_error"] <= 1e-6


def test_the_step_is_compiled_once(found):
    assert found["compilations"] == [1, 0, 0]


def test_weights_that_stay_whole_are_told(found):
    whole = found["whole"]
    # To split the batch alone, weights are wanted whole.
    assert whole["data"] == []
    # Everything that matters is split over fsdp, and nothing here is of a size to speak of.
    assert all(len(one["shape"]) == 1 for one in whole["fsdp"])
    assert whole["default"] == []
    (patch, fc) = whole["large"]
    assert patch["line"] == (
        "embedding.patch.kernel, [4, 4, 3, 16], 0.0 MB: mesh.tensor could split its axis 3, of 16, "
        "in 4"
    )
    assert fc == {
        "name": "block_*.time.fc.kernel", "count": 1, "shape": [16, 16], "nbytes": 1024,
        "mesh_axis": "tensor", "parts": 4, "dimension": 1, "line": fc["line"],
    }  # fmt: skip
    sizes = [one["nbytes"] for one in whole["tensor"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) > 10


def test_devices_are_simulated_on_this_machine_alone():
    asked = MeshSpec(data=3 * jax.device_count())
    with pytest.raises(ConfigError, match="Or simulate devices on this machine's CPU: XLA_FLAGS="):
        make_mesh(asked)
    with pytest.raises(ConfigError) as error:
        make_mesh(asked, jax.devices())
    assert str(error.value).endswith("Set mesh.data=-1 to take what is left.")
