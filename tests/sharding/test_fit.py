"""Model, batch and mesh: what does not fit is refused, all at once; what fits badly is said."""

import pytest

from tests.tiny_run import run_program


@pytest.fixture(scope="module")
def found():
    return run_program("tests.sharding.fitted_on_eight")


@pytest.mark.parametrize("name", ["fits", "clips are shared", "uneven", "joint has none"])
def test_what_fits_is_taken(found, name):
    assert found["problems"][name] == []


NO_FRAMES = "mesh.sequence is 8, but clips have only 4 frames to split"


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        (
            "batch",
            [
                "train.global_batch is 20; it must be a multiple of the 4 parts that mesh.data "
                "times mesh.fsdp split a batch into times train.accumulate 3 times 2, as mixup"
            ],
        ),
        ("heads", ["mesh.tensor is 8; it must divide the number of heads 2"]),
        ("all at once", ["train.global_batch is 0", NO_FRAMES]),
        ("no positions", ["mesh.sequence is 8, but clips have only 4 patch positions to split"]),
        (
            "no mesh",
            [
                "mesh is {'data': 1, 'fsdp': 5, 'sequence': 40, 'tensor': 3}, whose fixed axes",
                "mesh.fsdp is 5; it must divide the embedding width 32",
                "mesh.tensor is 3; it must divide the number of heads 2",
                "mesh.tensor is 3; it must divide the MLPs' hidden width 128",
                "mesh.sequence is 40, but clips have only 4 frames to split",
                "mesh.sequence is 40, but clips have only 16 patch positions to split",
            ],
        ),
    ],
)
def test_what_does_not_fit_is_refused_all_at_once(found, name, starts):
    told = found["problems"][name]
    assert len(told) == len(starts)
    for start in starts:
        assert any(problem.startswith(start) for problem in told), start


def test_what_the_state_takes_on_each_device_is_said(found):
    """Two blocks of ViT-B: 20 million parameters, and AdamW's two moments of each."""
    (whole,), (split,) = found["data"], found["fsdp"]
    assert whole == (
        "state    243.0 MB on each device, 81.0 MB of it weights; activations come on top"
    )
    assert split.startswith("state    60.9 MB on each device, 20.3 MB of it weights")


def test_weights_that_stay_whole_are_listed(found):
    state, heading, *rest = found["tensor"]
    assert state.startswith("state    73.0 MB on each device")
    assert "every device holds these weights whole, though the mesh could split them" in heading
    assert rest == [
        "           block_*.time.fc.kernel, 2 × [768, 768], 4.7 MB: mesh.tensor could split its "
        "axis 1, of 768, in 4"
    ]


def test_clips_that_do_not_divide_are_noted(found):
    _, note = found["uneven"]
    assert note.strip() == (
        "mesh.sequence 4 does not divide 6 frames: each device has the time and the memory of 2, "
        "where 1.5 would do"
    )
