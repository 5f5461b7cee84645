"""Nearest resizing, and the three options of the position embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidtx.models.embedding import nearest_indices

from . import tiny


@pytest.mark.parametrize("source", [1, 2, 4, 7, 8, 14, 16, 24, 28, 96])
def test_nearest_indices_are_the_floor_of_the_float32_ratio(source):
    for target in range(1, 101):
        ratio = np.float32(source / target)
        floors = [int(np.floor(np.float32(i) * ratio)) for i in range(target)]
        expected = np.minimum(floors, source - 1)
        np.testing.assert_array_equal(nearest_indices(source, target), expected)


def test_nearest_indices_written_out():
    assert nearest_indices(8, 12).tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7]
    assert nearest_indices(16, 8).tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert nearest_indices(96, 8).tolist() == [0, 12, 24, 36, 48, 60, 72, 84]
    assert nearest_indices(14, 21).tolist() == [2 * i // 3 for i in range(21)]
    assert nearest_indices(14, 14).tolist() == list(range(14))
    assert nearest_indices(14, 28).tolist() == [i // 2 for i in range(28)]


@pytest.mark.parametrize(("source", "target"), [(8, 12), (14, 21), (16, 8), (96, 8)])
def test_jax_image_resize_would_be_another_resizing(source, target):
    resized = jax.image.resize(jnp.arange(source, dtype=jnp.float32), (target,), "nearest")
    assert (np.asarray(resized, int) != nearest_indices(source, target)).any()


@pytest.mark.parametrize("position", ["none", "space", "space_time"])
def test_position_embedding_options(position):
    """Each has the tables that it names, and gives the reference's logits with them."""
    tree = tiny.weights("divided", position=position)
    model = tiny.create("divided", position_embedding=position)
    x = tiny.clips((3, 5, 3))
    created = jax.eval_shape(model.init, jax.random.key(0), x)["params"]["embedding"]
    tables = {"none": set(), "space": {"position"}, "space_time": {"position", "time"}}
    assert set(created) == {"patch", "class_token"} | tables[position]
    expected, _ = tiny.reference("divided", tree, x)
    np.testing.assert_allclose(tiny.forward(model)(tree, x), expected, rtol=0, atol=1e-5)


def test_without_position_embedding_the_order_of_patches_is_lost():
    tree = tiny.weights("joint", position="none")
    model = tiny.create("joint", position_embedding="none")
    x = tiny.clips((3, 5, 3))
    backwards = tiny.forward(model)(tree, x[:, ::-1])
    np.testing.assert_allclose(tiny.forward(model)(tree, x), backwards, rtol=0, atol=1e-5)


def test_space_needs_no_time_table():
    x = tiny.clips(tiny.GRID)
    created = jax.eval_shape(tiny.create("space").init, jax.random.key(0), x)["params"]
    assert "time" not in created["embedding"]
