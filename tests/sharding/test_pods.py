"""Meshes of TPU pods that are not there: libtpu knows where their chips lie."""

import pytest

from tests.tiny_run import run_program

pytest.importorskip("libtpu")


@pytest.fixture(scope="module")
def found():
    return run_program("tests.sharding.on_slices", devices=1)


def test_only_data_reaches_from_slice_to_slice(found):
    assert len(found["made"]) == 6
    for name, mesh in found["made"].items():
        assert mesh["all"], name
        assert mesh["halves"] == 1, name
        inner = {axis: inside for axis, inside in mesh["in_slice"].items() if axis != "data"}
        assert inner == {"fsdp": True, "sequence": True, "tensor": True}, name
        assert not mesh["in_slice"]["data"], name


def test_what_is_left_is_filled_in_over_all_slices(found):
    assert found["made"]["v5e:4x4 -1x2x1x2"]["shape"] == [8, 2, 1, 2]


@pytest.mark.parametrize("name", ["v5e:4x4 1x32x1x1", "v5e:4x4 1x-1x4x2", "v5p:2x2x4 1x32x1x1"])
def test_a_mesh_that_would_cross_slices_otherwise_is_refused(found, name):
    message = found["refused"][name]
    assert message.startswith("The 32 devices are 2 slices of 16, and mesh.data is 1; it must be a")
    assert "Lower fsdp × sequence × tensor, now 32, to a divisor of 16." in message


def test_counts_that_do_not_fit_are_told_as_ever(found):
    assert "it must divide them" in found["refused"]["v5e:4x4 3x-1x1x1"]


def test_every_mesh_of_a_pod_can_be_fed(found):
    """Each host reads the rows that its chips hold, all of them and no others."""
    assert len(found["rows"]) == 105
    for name, rows in found["rows"].items():
        assert rows["right"], name
        assert rows["all"], name


def test_rows_of_a_host_are_several_blocks_where_its_chips_are_apart(found):
    """As on a torus, where four chips of a host are a square: the plainest of meshes among them."""
    assert found["rows"]["v5e:4x4 16x1x1x1"]["blocks"] > 1
    assert found["rows"]["v5e:4x4 8x1x2x1"]["blocks"] == 1
