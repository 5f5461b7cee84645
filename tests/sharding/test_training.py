"""Training gives the same on every mesh, and communicates what its strategy needs."""

import pytest

from tests.sharding import steps
from tests.sharding.meshes import ALL, DEFAULT, mesh_of, named
from tests.sharding.of_two_processes import MESHES, TRAINED
from tests.tiny_run import run_program, run_two_processes
from vidtx.models import SCHEMES

REST = [named(lengths) for lengths in ALL if lengths not in DEFAULT]
# One with all that is random on, and one that takes its batch in four parts.
NAMES = [named(lengths) for lengths in DEFAULT if lengths != (2, 1, 2, 2)]
NAMES += ["2x1x2x2/4", "2x2x2x1+"]
FOR_SCHEMES = ["2x1x4x1", "1x2x2x2"]


@pytest.fixture(scope="module")
def found():
    return run_program("tests.sharding.on_eight_devices", "divided", *NAMES)


def check(trained):
    assert trained["moved"] > 1e-2  # or there would be nothing to compare
    assert trained["losses"] == pytest.approx(trained["alone"], rel=1e-5)
    assert trained["error"] <= 1e-5
    window, alone = trained["window"], trained["alone_window"]
    assert window["grad_norm"] == pytest.approx(alone["grad_norm"], rel=1e-5)
    for name in ("steps", "correct", "clips", "replaced", "clip_ids", "first_bad_step"):
        assert window[name] == alone[name], name
    assert trained["stays"], "the state lies elsewhere after a step"


@pytest.mark.parametrize("name", NAMES)
def test_training_does_not_depend_on_the_mesh(found, name):
    check(found[name])


@pytest.mark.slow
def test_nor_on_any_other_mesh():
    for trained in run_rest("divided", REST):
        check(trained)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"divided"}))
def test_nor_with_any_other_scheme(scheme):
    for trained in run_rest(scheme, FOR_SCHEMES):
        check(trained)


def run_rest(scheme, names):
    found = run_program("tests.sharding.on_eight_devices", scheme, *names)
    return [found[name] for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_the_step_s_program_places_its_activations(found, name):
    # The residual stream changes its layout twice.
    assert found[name]["constraints"] >= 4


def shapes_of(params):
    """Shapes without order and without lengths of 1, which a compiler changes freely."""
    return {tuple(sorted(length for length in shape if length > 1)) for shape in params}


WEIGHTS = shapes_of(leaf.shape for leaf in steps.flat(steps.parts(mesh_of())[-1].params).values())
# Of the position table, what patches use of it.
WEIGHTS |= shapes_of([(2, 2, 16)])


def total(collectives):
    return sum(size for *_, size in collectives)


def test_data_parallel_steps_sum_gradients_and_no_more(found):
    collectives = found["8x1x1x1"]["collectives"]
    assert set(collectives) == {"all-reduce"}
    gradients = [one for one in collectives["all-reduce"] if one[1]]
    assert shapes_of(shape for _, shape, _ in gradients) <= WEIGHTS
    # What class tokens give to weights that they share with patches is summed by itself.
    assert 1 <= total(gradients) / (4 * found["parameters"]) < 1.2
    assert len(collectives["all-reduce"]) - len(gradients) <= 8


def test_split_weights_are_gathered_and_activations_are_not(found):
    collectives = found["1x8x1x1"]["collectives"]
    gathered = shapes_of(shape for _, shape, _ in collectives["all-gather"])
    assert gathered <= WEIGHTS
    assert total(collectives["all-gather"]) >= 0.9 * 4 * found["parameters"]
    summed = shapes_of(shape for _, shape, _ in collectives["all-reduce"])
    assert summed <= WEIGHTS | {()}


def test_split_clips_are_exchanged_and_never_gathered(found):
    collectives = found["2x1x4x1"]["collectives"]
    share = steps.ROWS // 2 * (steps.FRAMES // 4) * (steps.SIZE // 4) ** 2 * 16 * 4  # bytes
    assert share == 4096
    # Forward to positions and back, and the same backward.
    assert 2 * share <= total(collectives["all-to-all"]) <= 4 * share
    rest = [
        one for kind in ("all-gather", "collective-permute") for one in collectives.get(kind, [])
    ]
    assert all(size < share for *_, size in rest), rest


def test_split_heads_need_sums_alone(found):
    collectives = found["2x1x1x4"]["collectives"]
    assert "all-to-all" not in collectives
    assert "collective-permute" not in collectives
    # Forward after attention of either step and after the MLP, and backward before them.
    stream = [steps.ROWS // 2, steps.FRAMES, 2, 2, 16]
    assert [shape for _, shape, _ in collectives["all-reduce"]].count(stream) >= 3
    assert total(collectives.get("all-gather", [])) < 4 * found["parameters"]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes with four devices found."""
    folder = tmp_path_factory.mktemp("both")
    results, *_ = run_two_processes("tests.sharding.of_two_processes", folder, devices=4)
    return results


def test_two_processes_that_share_every_clip_train_what_one_does(both, found):
    assert both[0]["losses"] == both[1]["losses"]
    assert both[0]["losses"] == pytest.approx(found[named(TRAINED)]["losses"], rel=1e-6)


@pytest.mark.parametrize("lengths", MESHES)
def test_processes_read_their_own_rows_or_share_them(both, lengths):
    shared = lengths[0] * lengths[1] == 1
    for index, result in enumerate(both):
        assert result["fed"][named(lengths)] == {
            "rows": [[0], 1] if shared else [[index], 2],
            "shape": [16, 3], "equal": True, "total": True,
        }  # fmt: skip


def test_rows_of_a_process_may_be_several_blocks(both):
    for index, result in enumerate(both):
        assert result["scattered"] == {
            "rows": [[index, index + 2], 4], "shape": [16, 3], "equal": True, "total": True,
        }  # fmt: skip


def test_rows_that_are_shared_in_part_are_refused(both):
    for result in both:
        assert "some clips are of one process in part" in result["refused"]
        assert "mesh.sequence times mesh.tensor" in result["refused"]
