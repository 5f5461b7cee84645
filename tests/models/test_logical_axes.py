"""Logical names on every weight, and where the residual stream changes its sharding."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from vidtx.models import get_scheme

from . import tiny

WEIGHT_NAMES = {"embed", "fc", "qkv", "heads", "mlp", "classes"}
RULES = (
    ("act_batch", "data"),
    ("act_frames", "sequence"),
    ("act_positions", "sequence"),
    ("act_embed", None),
)
FRAMES_SPLIT = '[{"data"}, {"sequence"}, {}, {}, {}]'
POSITIONS_SPLIT = '[{"data"}, {}, {"sequence"}, {}, {}]'


def named_weights(scheme):
    model = tiny.create(scheme)
    boxed = jax.eval_shape(model.init, jax.random.key(0), tiny.clips(tiny.GRID))["params"]
    is_box = lambda leaf: isinstance(leaf, nn.LogicallyPartitioned)  # noqa: E731
    leaves = jax.tree_util.tree_leaves_with_path(boxed, is_leaf=is_box)
    return {"/".join(entry.key for entry in path): leaf for path, leaf in leaves}


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_every_weight_names_its_axes(scheme):
    for path, leaf in named_weights(scheme).items():
        assert isinstance(leaf, nn.LogicallyPartitioned), path
        assert len(leaf.names) == leaf.value.ndim, path
        names = [name for name in leaf.names if name is not None]
        # A name twice in one weight would ask for one mesh axis twice.
        assert len(set(names)) == len(names) > 0, path
        assert set(names) <= WEIGHT_NAMES, path


def test_names_of_a_divided_block():
    names = {path: leaf.names for path, leaf in named_weights("divided").items()}
    for attention in ("block_0/attention", "block_0/time/attention"):
        assert names[f"{attention}/qkv/kernel"] == ("embed", "qkv")
        assert names[f"{attention}/qkv/bias"] == ("qkv",)
        assert names[f"{attention}/out/kernel"] == ("heads", "embed")
        assert names[f"{attention}/out/bias"] == ("embed",)
    assert names["block_0/mlp/fc1/kernel"] == ("embed", "mlp")
    assert names["block_0/mlp/fc2/kernel"] == ("mlp", "embed")
    assert names["block_0/time/fc/kernel"] == ("embed", "fc")
    assert names["head/kernel"] == ("embed", "classes")
    assert names["embedding/patch/kernel"] == (None, None, None, "embed")
    assert names["embedding/position"] == (None, None, "embed")


def lowered(scheme):
    """The program as text, traced afresh: jit's cache does not know flax's rules."""
    model = tiny.create(scheme)
    run = jax.jit(lambda tree, x: model.apply({"params": tree}, x))
    return run.lower(tiny.weights(scheme), tiny.clips(tiny.GRID)).as_text()


@pytest.fixture
def mesh():
    # One device is enough: the constraints are in the program before it is partitioned.
    return jax.make_mesh(
        (1, 1), ("data", "sequence"), axis_types=(AxisType.Auto,) * 2, devices=jax.devices()[:1]
    )


@pytest.mark.parametrize(
    ("scheme", "layouts"),
    # In one block, in order: added steps, then the last step (and the MLP).
    [
        ("space", [FRAMES_SPLIT]),
        ("joint", [FRAMES_SPLIT]),
        ("divided", [POSITIONS_SPLIT, FRAMES_SPLIT]),
        ("sparse_local_global", [FRAMES_SPLIT, FRAMES_SPLIT]),
        ("axial", [POSITIONS_SPLIT, FRAMES_SPLIT, FRAMES_SPLIT]),
    ],
)
def test_the_residual_stream_is_placed_before_every_step(mesh, scheme, layouts):
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        text = lowered(scheme)
    constraints = [line for line in text.splitlines() if "sharding_constraint" in line]
    # Class tokens: as they come, after attention in every group of the last step, and after it.
    clip = '[{"data"}, {}, {}]'
    frame = '[{"data"}, {"sequence"}, {}]'
    token = frame if scheme == "space" else clip
    group = frame if get_scheme(scheme).vit_step.splits == "frames" else clip
    wanted = [FRAMES_SPLIT, token, *[*layouts, token, group, token] * tiny.DEPTH]
    assert len(constraints) == len(wanted)
    for line, layout in zip(constraints, wanted, strict=True):
        assert layout in line


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_without_a_mesh_nothing_is_constrained(scheme):
    assert "sharding_constraint" not in lowered(scheme)
    with nn.logical_axis_rules(RULES):
        assert "sharding_constraint" not in lowered(scheme)


def test_a_mesh_does_not_change_the_logits(mesh):
    model, tree, x = tiny.create("divided"), tiny.weights("divided"), tiny.clips((3, 5, 3))
    expected = tiny.forward(model)(tree, x)
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        logits = jax.jit(
            lambda tree, x: model.apply({"params": tree}, x),
            compiler_options=tiny.COMPILER_OPTIONS,
        )(tree, x)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)
