"""The class token: no part in added steps, and a copy of it in every group of the last one."""

import functools

import jax
import numpy as np
import pytest

from vidtx.kernels import STEPS, Grouping
from vidtx.models.attention import attend_step

from . import tiny

GRID = (4, 2, 3)


@functools.cache
def run(scheme):
    model = tiny.create(scheme)
    return jax.jit(
        lambda tree, x: model.apply({"params": tree}, x, capture_intermediates=True)[1][
            "intermediates"
        ],
        compiler_options=tiny.COMPILER_OPTIONS,
    )


def block_0(scheme, *, other_class_token):
    tree = tiny.weights(scheme)
    if other_class_token:
        token = tree["embedding"]["class_token"]
        tree["embedding"]["class_token"] = tiny.uniform("other", token.shape, 3.0)
    return jax.tree.map(np.asarray, run(scheme)(tree, tiny.clips(GRID)))["block_0"]


@pytest.mark.parametrize(
    ("scheme", "added"),
    [
        ("divided", ["time"]),
        ("axial", ["time", "width"]),
        ("sparse_local_global", ["local"]),
    ],
)
def test_added_steps_do_not_know_it_and_every_patch_of_the_last_step_does(scheme, added):
    one = block_0(scheme, other_class_token=False)
    other = block_0(scheme, other_class_token=True)
    for step in added:
        np.testing.assert_array_equal(one[step]["__call__"][0], other[step]["__call__"][0])
    patches = one["attention"]["__call__"][0][0], other["attention"]["__call__"][0][0]
    assert (patches[0] != patches[1]).any(-1).all()


@pytest.mark.parametrize(
    ("scheme", "class_tokens"),
    [("space", 4), ("joint", 1), ("divided", 1), ("sparse_local_global", 1), ("axial", 1)],
)
def test_how_many_there_are(scheme, class_tokens):
    _, cls = block_0(scheme, other_class_token=False)["__call__"][0]
    assert cls.shape == (2, class_tokens, tiny.DIM)


def attend(step, grid, fused, fused_class):
    grouping = Grouping(STEPS[step], grid)
    return jax.jit(
        lambda fused, fused_class: attend_step(
            grouping.gather(fused), fused_class, grouping, head_dim=2
        ),
        compiler_options=tiny.COMPILER_OPTIONS,
    )(fused, fused_class)


@pytest.mark.parametrize("step", ["space", "joint", "global", "height"])
def test_a_copy_looks_at_its_own_group_alone(step):
    """On an uneven grid: move one patch, and only its group's copy of the class token moves."""
    grid = (3, 3, 2)
    grouping, count = Grouping(STEPS[step], grid), 18
    fused = tiny.uniform("fused", (1, count, 12), 2.0)
    nudged = np.concatenate([fused, fused + np.eye(count, dtype=np.float32)[:, :, None]])
    fused_class = np.repeat(tiny.uniform("class", (1, 1, 12), 2.0), count + 1, axis=0)
    _, copies = attend(step, grid, nudged.reshape(-1, *grid, 12), fused_class)
    moved = (np.asarray(copies[1:]) != np.asarray(copies[0])).any(-1)
    assert (moved.sum(axis=1) == 1).all()
    assert tuple(moved.sum(axis=0).tolist()) == grouping.group_sizes


def test_a_class_token_a_group_is_the_same_as_one_for_all_where_they_are_equal():
    grid = (3, 2, 2)
    fused = tiny.uniform("fused", (2, *grid, 12), 2.0)
    one = tiny.uniform("class", (2, 1, 12), 2.0)
    for single, many in zip(
        attend("space", grid, fused, one),
        attend("space", grid, fused, np.repeat(one, 3, axis=1)),
        strict=True,
    ):
        np.testing.assert_array_equal(single, many)
