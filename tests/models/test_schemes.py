"""Every scheme against the dense, mask-based float64 reference: logits and all gradients."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidtx.models import SCHEMES, get_scheme

from . import dense_reference, tiny

TOLERANCE = 1e-5
EVEN, ODD = tiny.GRID, (3, 5, 3)


@pytest.mark.parametrize("grid", [EVEN, ODD], ids=["even", "odd"])
@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_logits_and_every_gradient(scheme, grid):
    """Of all weights and of the clips, on rectangular images: as trained, and resized to odd."""
    tree, x = tiny.weights(scheme), tiny.clips(grid)
    d_logits = tiny.uniform("d_logits", (len(x), tiny.CLASSES), 1.0)
    logits, (d_tree, d_x) = tiny.forward_backward(tiny.create(scheme))(tree, x, d_logits)
    expected, backward = tiny.reference(scheme, tree, x)
    expected_tree, expected_x = backward(tiny.float64(d_logits))

    np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCE)
    actual = tiny.flat(d_tree) | {"clips": np.asarray(d_x)}
    wanted = tiny.flat(expected_tree) | {"clips": expected_x}
    assert actual.keys() == wanted.keys()
    for path, gradient in wanted.items():
        # Relative to the largest entry of its own leaf, so that no small gradient hides. What the
        # class token does not see of the last block, nothing comes of.
        largest = np.abs(gradient).max()
        assert np.abs(actual[path] - gradient).max() <= TOLERANCE * largest, path
        unseen = scheme in dense_reference.ORDER and path.startswith("block_1/time")
        assert (largest == 0) == unseen, path


@pytest.mark.parametrize("grid", [(1, 1, 1), (5, 1, 3)])
@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_logits_on_grids_with_axes_of_length_one(scheme, grid):
    tree, x = tiny.weights(scheme), tiny.clips(grid, batch=1)
    logits = tiny.forward(tiny.create(scheme))(tree, x)
    assert logits.shape == (1, tiny.CLASSES)
    assert logits.dtype == jnp.float32
    expected, _ = tiny.reference(scheme, tree, x)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCE)


def test_the_table_of_schemes():
    for name, scheme in SCHEMES.items():
        assert scheme.name == name
        named = [step.name for step in (*scheme.added_steps, scheme.vit_step)]
        assert named == dense_reference.STEPS[name]
    assert SCHEMES.keys() == dense_reference.STEPS.keys()
    done = {s.name: [step.name for step in s.steps] for s in SCHEMES.values()}
    assert done["axial"] == ["time", "width", "height"]
    assert done["divided_space_first"] == ["space", "time"]
    assert done["divided"] == done["divided_parallel"] == ["time", "space"]
    assert [s.name for s in SCHEMES.values() if not s.sees_time] == ["space"]
    assert [s.name for s in SCHEMES.values() if s.class_token_per_frame] == ["space"]


def test_an_unknown_scheme_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'divded'.*space, joint, divided, sparse_local.*axial"):
        get_scheme("divded")


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_clips_of_a_batch_do_not_see_each_other(scheme):
    tree, x = tiny.weights(scheme), tiny.clips(EVEN)
    logits = tiny.forward_backward(tiny.create(scheme))(tree, x, np.ones((2, 5), np.float32))[0]
    swapped = tiny.forward_backward(tiny.create(scheme))(
        tree, x[::-1], np.ones((2, 5), np.float32)
    )[0]
    np.testing.assert_allclose(logits, swapped[::-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(name, marks=() if name == "divided" else pytest.mark.slow)
        for name in tiny.SCHEMES
    ],
)
def test_one_block_of_base_width_on_the_base_grid(scheme):
    """768 wide, 1568 patches: long sums, where float32 rounding would show an unstable order."""
    grid, dim = (8, 14, 14), 768
    tree = tiny.weights(scheme, grid, depth=1, dim=dim)
    x = tiny.clips(grid, batch=1)
    model = tiny.create(scheme, grid, embed_dim=dim, depth=1)
    expected, _ = tiny.reference(scheme, tree, x, grid=grid, depth=1)
    np.testing.assert_allclose(tiny.forward(model)(tree, x), expected, rtol=0, atol=1e-5)
