"""What is offered where a step does not fit: it would be accepted, and is counted from what is."""

import pytest

from tests.analysis.cures_on_eight import CASES
from tests.tiny_run import run_program


@pytest.fixture(scope="module")
def found():
    return run_program("tests.analysis.cures_on_eight")


@pytest.mark.parametrize("name", CASES)
def test_no_cure_would_be_refused(found, name):
    _, cures = found[name]
    assert cures
    assert {cure: why for cure, why in cures.items() if why} == {}


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("in four parts", ["train.global_batch=4", "2 times as many chips", "train.accumulate=8"]),
        ("in pairs", ["train.global_batch=4", "2 times as many chips", "train.accumulate=4"]),
        ("mixed", ["train.global_batch=4", "2 times as many chips", "train.accumulate=2"]),
        ("shared by two", ["mesh.sequence=4 and train.global_batch=2"]),
        ("state in four", ["mesh.sequence=2 and train.global_batch=4"]),
        (
            "all that is left is shared",
            ["mesh.data=-1 and mesh.sequence=4 and train.global_batch=2"],
        ),
        ("much state", ["mesh.fsdp=4"]),
        ("judged", ["eval.global_batch=8", "2 times as many chips"]),
        ("judged one by one", ["mesh.sequence=2 and eval.global_batch=2"]),
    ],
)
def test_cures_go_on_from_what_is_set(found, name, offered):
    assert [cure.split(":")[0] for cure in found[name][1]] == offered


def test_half_of_a_clip_is_counted_from_the_half_that_there_is(found):
    (cure,) = found["shared by two"][1]
    assert cure.endswith("4 devices share a clip, 46.57 GiB")


@pytest.mark.parametrize("name", ["in single clips", "shared by two, less room", "state in eight"])
def test_where_no_single_option_is_enough(found, name):
    (cure,) = found[name][1]
    assert cure.startswith("more than one of train.global_batch, model.remat=full, mesh.fsdp")


def test_one_clip_is_one(found):
    assert " 1 clip 0.00 GiB" in found["shared by two"][0]
    assert " 4 videos 0.00 GiB" in found["judged"][0]
