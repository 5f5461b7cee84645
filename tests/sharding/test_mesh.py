import pytest

from tests.sharding.on_eight_devices import MESHES, ON_TWO, STEPS
from tests.tiny_run import run_program, run_two_processes
from vidtx.models import SCHEMES

ON_EIGHT = pytest.mark.parametrize("mesh", [f"{data},{fsdp}" for data, fsdp in MESHES])
EVERY = pytest.mark.parametrize("mesh", [f"{data},{fsdp}" for data, fsdp in (*MESHES, *ON_TWO)])


@pytest.fixture(scope="module")
def found():
    return run_program("tests.sharding.on_eight_devices", devices=8)


@pytest.mark.parametrize(
    ("asked", "lengths"),
    [
        ("-1,1", [8, 1]),
        ("-1,2", [4, 2]),
        ("2,-1", [2, 4]),
        ("1,-1", [1, 8]),
        ("8,1", [8, 1]),
        ("2,4", [2, 4]),
    ],
)
def test_the_axes_fill_the_devices(found, asked, lengths):
    assert found["shapes"][asked] == [*lengths, 8]


@pytest.mark.parametrize(
    ("asked", "hold", "why"),
    [
        ("3,-1", 3, "it must divide them"),
        ("2,2", 4, "the two must be equal"),
        ("9,1", 9, "the two must be equal"),
    ],
)
def test_a_product_that_does_not_fit_is_refused(found, asked, hold, why):
    message = found["shapes"][asked]
    assert f"hold {hold} devices, but there are 8: {why}" in message
    assert "mesh.data=-1" in message


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whatever_is_as_wide_as_the_embedding_is_split(found, scheme):
    weights = found["weights"][scheme]
    matrices = [name for name, (shape, _) in weights.items() if len(shape) >= 2]
    assert len(matrices) > 20
    for name in matrices:
        shape, axes = weights[name]
        assert axes.count("fsdp") == 1, name
        assert shape[axes.index("fsdp")] == 16, name
    # Nothing is split over the axis that splits the batch.
    assert all(set(axes) <= {None, "fsdp"} for _, axes in weights.values())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_optimiser_s_moments_lie_with_their_weights(found, scheme):
    weights = found["weights"][scheme]
    params = {name: value for name, value in weights.items() if name.startswith(".params")}
    for name, value in params.items():
        moments = [
            other for place, other in weights.items()
            if place.endswith(f".trace{name.removeprefix('.params')}")
        ]  # fmt: skip
        assert moments == [value], name


def test_no_device_holds_more_than_its_share_of_the_first_state(found):
    weights = found["weights"]["divided"]
    split = 0
    for name, (size, parts, devices, lies_right) in found["held"].items():
        shares = 4 if "fsdp" in weights[name][1] else 1
        assert parts == [size // shares], name
        assert devices == 8, name
        assert lies_right, name
        split += shares == 4
    assert split > 50


def test_the_first_state_does_not_depend_on_the_mesh(found):
    assert found["first_error"] <= 1e-6


@ON_EIGHT
def test_each_device_gets_its_own_rows(found, mesh):
    placed = found["placed"][mesh]
    assert placed["rows_of_process"] == [0, 1]
    assert placed["starts"] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert placed["equal"]


@EVERY
def test_training_does_not_depend_on_the_mesh(found, mesh):
    assert found["moved"] > 1e-3  # or there would be nothing to compare
    trained = found["trained"][mesh]
    assert trained["losses"] == pytest.approx(found["alone"]["losses"], rel=1e-5)
    assert trained["error"] <= 1e-5


@EVERY
def test_the_state_stays_where_it_lies(found, mesh):
    assert found["trained"][mesh]["stays"]


@EVERY
def test_the_step_is_compiled_once(found, mesh):
    assert found["trained"][mesh]["compilations"] == [1] + [0] * (STEPS - 1)


@EVERY
def test_the_step_s_program_places_its_activations(found, mesh):
    # Two blocks, in each of which the residual stream changes its layout twice.
    assert found["trained"][mesh]["constraints"] >= 4


def test_two_processes_read_each_its_own_rows(tmp_path):
    results, *_ = run_two_processes("tests.sharding.of_two_processes", tmp_path)
    for index, result in enumerate(results):
        for mesh, seen in result.items():
            assert seen == {
                "rows": [index, 2], "shape": [8, 3], "equal": True, "total": True
            }, mesh  # fmt: skip
