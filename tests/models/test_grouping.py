"""Every grouping against its definition by token index, and attention that stays inside groups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtx.kernels import STEPS, Grouping
from vidtx.models.attention import attend_step

from . import dense_reference, tiny

sizes = st.integers(1, 7)
grids = st.tuples(sizes, sizes, sizes)
# An axis of length 1 is not halved, 2 is the smallest that is, 3 and 5 are halved unevenly.
CORNER_GRIDS = [(1, 1, 1), (1, 2, 3), (2, 1, 5), (3, 5, 1), (3, 3, 3), (2, 4, 2), (5, 5, 4)]


def indices(grid):
    """The grid's own token numbers, 1, 2, …, as ``[1, T, H, W, 1]``; 0 then means padding."""
    return np.arange(1, 1 + np.prod(grid)).reshape(1, *grid, 1)


def by_definition(step, grid):
    """The groups as a set of sets of token numbers, from the definition in the reference."""
    groups = {}
    for (t, h, w), number in np.ndenumerate(indices(grid)[0, ..., 0]):
        groups.setdefault(dense_reference.GROUP[step](t, h, w, *grid), set()).add(int(number))
    return groups


def check_grouping(step, grid):
    grouping = Grouping(STEPS[step], grid)
    gathered = np.asarray(grouping.gather(jnp.asarray(indices(grid))))[0, ..., 0]
    groups = by_definition(step, grid)

    real = gathered > 0
    members = [frozenset(row[keep].tolist()) for row, keep in zip(gathered, real, strict=True)]
    assert sorted(gathered[real]) == list(range(1, 1 + np.prod(grid))), "not a partition"
    assert set(members) == {frozenset(group) for group in groups.values()}
    assert grouping.group_sizes == tuple(len(member) for member in members)
    assert min(grouping.group_sizes) > 0, "an empty group would attend to nothing"
    if real.all():
        assert grouping.valid is None
    else:
        np.testing.assert_array_equal(grouping.valid, real)
    # Groups are numbered as their keys sort: space-only's group t is frame t, to which class
    # token t belongs.
    assert [min(member) for member in members] == [min(groups[key]) for key in sorted(groups)]


@pytest.mark.parametrize("step", STEPS)
def test_groups_partition_the_tokens_as_defined_on_every_corner_size(step):
    for grid in CORNER_GRIDS:
        check_grouping(step, grid)


@given(step=st.sampled_from(sorted(STEPS)), grid=grids)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_groups_partition_the_tokens_as_defined(step, grid):
    check_grouping(step, grid)


@given(step=st.sampled_from(sorted(STEPS)), grid=grids)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_scatter_undoes_gather(step, grid):
    grouping = Grouping(STEPS[step], grid)
    x = jnp.asarray(tiny.uniform("x", (2, *grid, 3), 1.0))
    groups = grouping.gather(x)
    np.testing.assert_array_equal(grouping.scatter(groups), x)
    if grouping.valid is not None:
        # Whatever stands in the padding, nothing of it comes back.
        dirty = jnp.where(grouping.valid[None, :, :, None], groups, jnp.nan)
        np.testing.assert_array_equal(grouping.scatter(dirty), x)


@pytest.mark.parametrize(
    ("step", "grid", "groups", "tokens"),
    [
        ("time", (8, 14, 14), 196, 8),
        ("space", (8, 14, 14), 8, 196),
        ("joint", (8, 14, 14), 1, 1568),
        ("local", (8, 14, 14), 4, 392),
        ("global", (8, 14, 14), 8, 196),
        ("width", (8, 14, 14), 112, 14),
        ("height", (8, 14, 14), 112, 14),
    ],
)
def test_groups_of_the_base_model(step, grid, groups, tokens):
    assert Grouping(STEPS[step], grid).group_sizes == (tokens,) * groups


def test_uneven_halves():
    assert Grouping(STEPS["local"], (2, 5, 3)).group_sizes == (12, 6, 8, 4)
    assert Grouping(STEPS["global"], (3, 5, 1)).group_sizes == (6, 4, 3, 2)


@pytest.mark.parametrize("grid", [(2, 4, 2), (3, 3, 5)], ids=["even", "odd"])
@pytest.mark.parametrize("step", STEPS)
def test_a_token_changes_its_own_group_and_nothing_else(step, grid):
    """Who looks at whom, seen from outside: move one token, and see which outputs move."""
    grouping, count = Grouping(STEPS[step], grid), int(np.prod(grid))
    fused = tiny.uniform("fused", (1, count, 12), 2.0)
    nudge = np.eye(count, dtype=np.float32)[:, :, None]
    nudged = np.concatenate([fused, fused + nudge]).reshape(count + 1, *grid, 12)
    attended = jax.jit(
        lambda x: grouping.scatter(attend_step(grouping.gather(x), None, grouping, head_dim=2)[0]),
        compiler_options=tiny.COMPILER_OPTIONS,
    )(nudged)
    attended = np.asarray(attended).reshape(count + 1, count, 4)
    moved = (attended[1:] != attended[0]).any(-1)
    numbers = np.empty(count, int)
    for number, members in enumerate(by_definition(step, grid).values()):
        numbers[np.array(sorted(members)) - 1] = number
    np.testing.assert_array_equal(moved, numbers[:, None] == numbers)
