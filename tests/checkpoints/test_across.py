"""A checkpoint knows nothing of meshes, nor of how layers are looped over."""

import pytest

from tests.tiny_run import run_program


@pytest.fixture(scope="module")
def found():
    return run_program("tests.checkpoints.across")


@pytest.mark.parametrize(("name", "step"), [("loop to scan", 2), ("scan to loop", 3)])
def test_a_state_of_one_mesh_goes_on_with_another(found, name, step):
    handed = found[name]
    assert handed["step"] == step
    assert handed["equal"], "to the bit"
    assert handed["lies_right"]
    assert handed["names"] == ["block_0", "block_1", "embedding", "head", "norm"]
    own, other = handed["losses"]
    assert own == pytest.approx(other, rel=1e-5)
    assert own > 0.1
