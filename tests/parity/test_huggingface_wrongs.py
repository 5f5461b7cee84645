"""Where transformers' TimeSformer is wrong, and vidtx is not.

Each test shows its own output to be none, or another than it should be; and vidtx's to be that of
`torch_models.corrected`, which has its modules compute what was published. If one of these fails
after an update of transformers because its own output has become right, delete the test.
"""

import functools

import numpy as np
import pytest

from . import converted, foreign

EXTRA = "pip install 'vidtx[parity]'"
torch = pytest.importorskip("torch", reason=EXTRA)
transformers = pytest.importorskip("transformers", reason=EXTRA)

from vidtx.models.embedding import nearest_indices  # noqa: E402

from . import torch_models  # noqa: E402

DIVIDED, JOINT, SPACE = foreign.SCHEMES
# Trained on frames that are no square.
WIDE = foreign.Size(grid=(4, 2, 3))
make = functools.cache(torch_models.make)


def own(scheme, grid, size=foreign.TINY):
    """transformers' own logits for clips of a grid."""
    model = make(scheme, size)
    with torch.no_grad():
        return model(torch_models.channels_first(foreign.clips(grid), model)).logits.numpy()


def right(scheme, grid, size=foreign.TINY):
    """The logits that it should have."""
    model = make(scheme, size)
    with torch.no_grad():
        clips = torch_models.channels_first(foreign.clips(grid), model)
        return torch_models.corrected(model, clips).numpy()


def assert_vidtx_is_right(folder, scheme, grid, size=foreign.TINY):
    source = converted.read(folder, scheme, foreign.weights(foreign.shapes_of(scheme, size)), size)
    logits = converted.logits(source, foreign.clips(grid))
    converted.assert_near(logits, right(scheme, grid, size))


def assert_differs(found, expected):
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() > 0.01 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("scheme", "case"),
    [(JOINT, case) for case in foreign.GRIDS] + [(DIVIDED, "trained"), (DIVIDED, "non_square")],
)
def test_where_it_is_right_the_correction_changes_nothing(scheme, case):
    expected = own(scheme, foreign.GRIDS[case])
    np.testing.assert_allclose(right(scheme, foreign.GRIDS[case]), expected, rtol=0, atol=1e-6)


def test_space_only_returns_a_row_a_frame_where_vidtx_averages_frames(tmp_path):
    frames, *_ = grid = foreign.GRIDS["trained"]
    rows, expected = own(SPACE, grid), right(SPACE, grid)
    assert rows.shape == (2 * frames, foreign.TINY.classes)
    # Nor is the average of its rows the average of tokens before the last norm.
    assert_differs(rows.reshape(2, frames, -1).mean(axis=1), expected)
    assert_vidtx_is_right(tmp_path, SPACE, grid)


@pytest.mark.parametrize("grid", [(6, 2, 2), (2, 2, 2)], ids=["more", "fewer"])
def test_divided_of_other_frames_is_silently_wrong(grid, tmp_path):
    assert_differs(own(DIVIDED, grid), right(DIVIDED, grid))
    assert_vidtx_is_right(tmp_path, DIVIDED, grid)


@pytest.mark.parametrize("grid", [(3, 2, 2), (4, 3, 3)], ids=["frames", "larger"])
def test_divided_fails_on_frames_and_sizes_that_do_not_divide(grid, tmp_path):
    with pytest.raises(RuntimeError, match="shape"):
        own(DIVIDED, grid)
    assert_vidtx_is_right(tmp_path, DIVIDED, grid)


@pytest.mark.parametrize("scheme", [JOINT, DIVIDED])
def test_positions_of_another_shape_with_as_many_patches_are_not_resized(scheme, tmp_path):
    grid = (4, 1, 4)
    assert_differs(own(scheme, grid), right(scheme, grid))
    assert_vidtx_is_right(tmp_path, scheme, grid)


def test_positions_of_one_column_fail(tmp_path):
    grid = (4, 3, 1)
    with pytest.raises(RuntimeError, match="size of tensor"):
        own(JOINT, grid)
    assert_vidtx_is_right(tmp_path, JOINT, grid)


@pytest.mark.parametrize("scheme", foreign.SCHEMES)
def test_no_model_of_frames_that_are_no_square_runs(scheme, tmp_path):
    with pytest.raises(TypeError, match="unsupported operand"):
        own(scheme, WIDE.grid, WIDE)
    assert_vidtx_is_right(tmp_path, scheme, WIDE.grid, WIDE)


def test_its_drop_path_must_be_a_whole_number():
    assert transformers.TimesformerConfig(drop_path_rate=0).drop_path_rate == 0
    with pytest.raises(Exception, match="expected int, got float"):
        transformers.TimesformerConfig(drop_path_rate=0.1)


def test_its_time_steps_begin_with_an_effect():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = foreign.config(DIVIDED)
        model = transformers.TimesformerForVideoClassification(
            transformers.TimesformerConfig(**config)
        )
    weights = [layer.temporal_dense.weight for layer in model.timesformer.encoder.layer]
    assert all(weight.abs().max() > 0 for weight in weights)


def test_its_video_processor_prepares_clips_for_other_models_unless_told():
    pytest.importorskip("torchvision", reason=EXTRA)
    # The published models want 0.45 and 0.225 throughout; a folder that vidtx wrote says so.
    processor = transformers.TimesformerVideoProcessor()
    assert tuple(processor.image_mean) == (0.485, 0.456, 0.406)
    assert tuple(processor.image_std) == (0.229, 0.224, 0.225)


def test_the_nearest_place_is_that_of_torch_for_all_lengths():
    for source in range(1, 33):
        places = torch.arange(source, dtype=torch.float32)[None, None]
        for target in range(1, 33):
            expected = torch.nn.functional.interpolate(places, size=target, mode="nearest")
            np.testing.assert_array_equal(nearest_indices(source, target), expected[0, 0].long())
