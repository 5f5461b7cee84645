"""Resizing of embeddings, against references that take one number at a time."""

import numpy as np
import pytest

from vidtx.models.embedding import nearest_indices
from vidtx.weights.resize import RESIZES, resize_position, resize_time


def kernel(distance, how):
    """Linear between two neighbours; or the cubic of PyTorch and OpenCV, of four."""
    x, a = abs(distance), -0.75
    if how == "bilinear":
        return max(0.0, 1.0 - x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def resized(grid, target, how):
    """Every place of the target asks all places within reach, those beyond the border being it."""
    rows, columns, dim = grid.shape
    result = np.zeros((*target, dim))
    for row in range(target[0]):
        y = (row + 0.5) * rows / target[0] - 0.5
        for column in range(target[1]):
            x = (column + 0.5) * columns / target[1] - 0.5
            for i in range(-3, rows + 3):
                for j in range(-3, columns + 3):
                    there = grid[min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)]
                    result[row, column] += kernel(y - i, how) * kernel(x - j, how) * there
    return result


def table(rows, columns, dim=3):
    return np.random.RandomState(0).standard_normal((1, 1 + rows * columns, dim)).astype(np.float32)


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("source", "target"), [((3, 5), (6, 4)), ((4, 4), (2, 7)), ((1, 3), (2, 3)), ((5, 2), (5, 2))]
)
def test_interpolation_is_that_of_a_slow_reference(how, source, target):
    before = table(*source)
    after = resize_position(before, source, target, how)
    assert after.dtype == np.float32
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    expected = resized(before[0, 1:].reshape(*source, -1).astype(np.float64), target, how)
    np.testing.assert_allclose(after[0, 1:].reshape(expected.shape), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", RESIZES)
def test_what_is_the_same_everywhere_stays_so(how):
    before = np.full((1, 1 + 6, 2), 0.3, np.float32)
    after = resize_position(before, (2, 3), (5, 4), how)
    np.testing.assert_allclose(after, 0.3, rtol=1e-6)
    assert after.shape == (1, 21, 2)


def test_nearest_is_that_of_the_model():
    before = table(2, 5)
    after = resize_position(before, (2, 5), (5, 8))
    grid = before[0, 1:].reshape(2, 5, -1)
    for row in range(5):
        for column in range(8):
            there = grid[nearest_indices(2, 5)[row], nearest_indices(5, 8)[column]]
            np.testing.assert_array_equal(after[0, 1 + row * 8 + column], there)


def test_the_authors_loader_puts_56_of_784_positions_where_a_grid_has_them():
    """From 14×14 to 28×28, of which it knows nothing but 196 and 784."""
    numbers = np.arange(197, dtype=np.float32).reshape(1, 197, 1)
    flat = resize_position(numbers, (14, 14), (28, 28), "nearest_1d")[0, 1:, 0]
    grid = resize_position(numbers, (14, 14), (28, 28), "nearest")[0, 1:, 0]
    np.testing.assert_array_equal(flat, 1 + np.arange(784) // 4)
    np.testing.assert_array_equal(grid.reshape(28, 28)[::2, ::2], numbers[0, 1:, 0].reshape(14, 14))
    assert (flat == grid).sum() == 56


def test_time_is_resized_to_the_nearest_frame():
    before = np.arange(8, dtype=np.float32).reshape(1, 8, 1)
    np.testing.assert_array_equal(resize_time(before, 12)[0, :, 0], nearest_indices(8, 12))
    np.testing.assert_array_equal(resize_time(before, 4)[0, :, 0], [0, 2, 4, 6])


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="resize is 'area'; it must be one of nearest, bilinear"):
        resize_position(table(2, 2), (2, 2), (4, 4), "area")
    with pytest.raises(ValueError, match="has 4 patches, which are no grid of 2×3"):
        resize_position(table(2, 2), (2, 3), (4, 4))
