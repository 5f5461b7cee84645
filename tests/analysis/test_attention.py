"""Maps of attention, against matrices over all tokens and against answers known in advance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.analysis import dense_attention
from tests.models import tiny
from vidtx.analysis.attention import raw, relevance, rollout
from vidtx.analysis.attention_weights import capture, gradients
from vidtx.models import SCHEMES

GRID = (3, 2, 5)  # frames, rows, columns, all different: no order of axes looks like another
BLOCKS = tiny.DEPTH


def highest(logits):
    """The gradient of each clip's highest logit."""
    return np.eye(logits.shape[-1])[logits.argmax(-1)]


@pytest.fixture(scope="module", params=tiny.SCHEMES)
def case(request):
    """(scheme, model, variables, clips, logits, blocks of the reference)."""
    scheme = request.param
    tree, clips = tiny.weights(scheme, GRID), tiny.clips(GRID)
    with pytest.MonkeyPatch.context() as patch:
        logits, blocks = dense_attention.observed(patch, scheme, GRID, tree, clips, highest)
    return scheme, tiny.create(scheme, GRID), {"params": tree}, clips, logits, blocks


def sizes(scheme):
    return (GRID[0] if scheme == "space" else 1), int(np.prod(GRID))


def test_rollout_is_a_row_of_the_product_over_all_tokens(case):
    scheme, model, variables, clips, logits, blocks = case
    matrix = dense_attention.rollout_matrix(scheme, blocks, *sizes(scheme))
    np.testing.assert_allclose(matrix.sum(-1), 1, atol=1e-12)
    maps = rollout(model, variables, clips)
    patches, class_token = dense_attention.class_row(matrix, sizes(scheme)[0], GRID)
    np.testing.assert_allclose(maps.patches, patches, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(maps.class_token, class_token, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(maps.logits, logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(maps.patches.sum((1, 2, 3)) + maps.class_token.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        maps.frames, patches.sum((2, 3)) / patches.sum((1, 2, 3))[:, None], rtol=1e-4
    )

    frame, row, column = query = (2, 0, 3)  # the same program, another row
    maps = rollout(model, variables, clips, query=query)
    class_tokens, _ = sizes(scheme)
    index = class_tokens + (row * GRID[2] + column) * GRID[0] + frame
    expected = dense_attention.to_grid(matrix[:, index, class_tokens:], GRID)
    np.testing.assert_allclose(maps.patches, expected, rtol=1e-4, atol=1e-7)


def test_relevance_is_a_row_of_the_product_over_all_tokens(case):
    scheme, model, variables, clips, _, blocks = case
    class_tokens, patches = sizes(scheme)
    matrix = dense_attention.relevance_matrix(scheme, blocks, class_tokens, patches)
    expected, stays = dense_attention.class_row(matrix, class_tokens, GRID)
    stays = stays - 1 / class_tokens
    total = expected.sum((1, 2, 3)) + stays.sum(1)
    maps = relevance(model, variables, clips)
    np.testing.assert_allclose(
        maps.patches, expected / total[:, None, None, None], rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(maps.class_token, stays / total[:, None], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("scheme", ["divided", "space", "sparse_local_global"])
def test_raw_maps_are_rows_of_one_step(scheme, monkeypatch):
    tree, clips = tiny.weights(scheme, GRID), tiny.clips(GRID)
    _, blocks = dense_attention.observed(monkeypatch, scheme, GRID, tree, clips, highest)
    model, variables = tiny.create(scheme, GRID), {"params": tree}
    last = SCHEMES[scheme].vit_step.name
    class_tokens, patches = sizes(scheme)

    weights = blocks[0][last][0][:, 1]
    expected, stays = dense_attention.class_row(
        dense_attention.joint(weights, class_tokens, patches), class_tokens, GRID
    )
    maps = raw(model, variables, clips, block=0, head=1)
    np.testing.assert_allclose(maps.patches, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(maps.class_token, stays, rtol=1e-4, atol=1e-7)
    if scheme != "divided":
        return
    weights = blocks[1]["time"][0].mean(1)  # of the last block, over heads
    frame, row, column = query = (1, 1, 4)
    index = (row * GRID[2] + column) * GRID[0] + frame
    maps = raw(model, variables, clips, step="time", query=query)
    expected = dense_attention.to_grid(weights[:, index], GRID)
    np.testing.assert_allclose(maps.patches, expected, rtol=1e-4, atol=1e-7)
    looked_at = maps.patches[0] > 0
    assert looked_at[:, row, column].all()
    assert looked_at.sum() == GRID[0]


def test_weights_are_those_of_the_model_and_their_gradients_its_slopes():
    model, clips = tiny.create("divided", GRID), tiny.clips(GRID)
    variables = {"params": tiny.weights("divided", GRID)}
    run = jax.jit(lambda shifts: capture(model, variables, clips, shifts)[0][:, 2])
    logits, weights = jax.jit(lambda: capture(model, variables, clips))()
    np.testing.assert_allclose(
        logits, tiny.forward(model)(variables["params"], clips), rtol=1e-5, atol=1e-5
    )
    assert [set(block) for block in weights] == [{"time", "space"}] * BLOCKS
    for leaf in jax.tree.leaves(weights):
        np.testing.assert_allclose(leaf.sum(-1), 1, rtol=1e-5)

    _, again, slopes = jax.jit(lambda: gradients(model, variables, clips, jnp.array([2, 2])))()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), again, weights
    )
    leaves, tree = jax.tree.flatten(slopes)
    for number in range(len(leaves)):  # along a direction of each step's own, and of no other's
        draw = np.random.default_rng(number)
        way = [np.zeros(leaf.shape, np.float32) for leaf in leaves]
        way[number] = draw.uniform(-1, 1, way[number].shape).astype(np.float32)
        far = [
            run(jax.tree.unflatten(tree, [sign * 1e-2 * leaf for leaf in way])) for sign in (1, -1)
        ]
        expected = (far[0] - far[1]) / 2e-2
        slope = [(leaves[number][clip] * way[number][clip]).sum() for clip in range(2)]
        np.testing.assert_allclose(slope, expected, rtol=5e-3, atol=5e-3)


def even(scheme, grid):
    """A model whose queries are zero: every token looks evenly at all of its group."""
    tree = tiny.weights(scheme, grid)

    def quiet(layer):
        layer["qkv"]["kernel"][:, : tiny.DIM] = 0
        layer["qkv"]["bias"][: tiny.DIM] = 0

    for index in range(BLOCKS):
        block = tree[f"block_{index}"]
        quiet(block["attention"])
        for step in SCHEMES[scheme].added_steps:
            quiet(block[step.name]["attention"])
    return {"params": tree}


@pytest.mark.parametrize(
    ("scheme", "stays"),
    [
        # One step a block, over 1 + M tokens: e ← (e + 1/(1 + M)) / 2, twice.
        ("joint", lambda M, n, p: 1 / 4 + 3 / 4 / (1 + M)),
        # The class token keeps ½ and takes 1/(1+n) of itself by its copies; what patches have of it
        # comes through the step in space alone, from the block before.
        ("divided", lambda M, n, p: (1 + p) ** 2 / 4 + n * p / 2 * p / 2),
        # The patches' own row has thirds.
        ("divided_parallel", lambda M, n, p: (1 + p) ** 2 / 4 + n * p / 2 * p / 3),
    ],
)
def test_even_attention_leaves_what_can_be_told_by_hand(scheme, stays):
    grid = (3, 2, 4)
    model, clips = tiny.create(scheme, grid), tiny.clips(grid)
    maps = rollout(model, even(scheme, grid), clips)
    n = grid[1] * grid[2]
    expected = stays(grid[0] * n, n, 1 / (1 + n))
    np.testing.assert_allclose(maps.class_token, expected, rtol=1e-5)
    # What it does not keep is spread evenly.
    np.testing.assert_allclose(maps.patches, (1 - expected) / (grid[0] * n), rtol=1e-5)


def test_bfloat16_models_and_weights_on_a_mesh_give_maps_too():
    tree, clips = tiny.weights("divided", GRID), tiny.clips(GRID)
    model = tiny.create("divided", GRID)
    whole = rollout(model, {"params": tree}, clips)
    rough = rollout(model.clone(dtype=jnp.bfloat16), {"params": tree}, clips)
    assert rough.patches.dtype == np.float32
    np.testing.assert_allclose(rough.patches, whole.patches, rtol=0.2)
    mesh = jax.make_mesh((1,), ("data",))
    placed = jax.device_put(tree, jax.NamedSharding(mesh, jax.sharding.PartitionSpec()))
    with jax.set_mesh(mesh):
        maps = rollout(model.clone(scan_layers=True, remat="full"), {"params": placed}, clips)
    np.testing.assert_allclose(maps.patches, whole.patches, rtol=1e-5)


def test_a_model_that_nobody_looks_at_puts_nothing_down():
    model, clips = tiny.create("divided", GRID), tiny.clips(GRID)
    assert list(jax.eval_shape(model.init, jax.random.key(0), clips)) == ["params"]


def test_arguments_out_of_bounds_are_told_all_at_once():
    model, clips = tiny.create("divided", GRID), tiny.clips(GRID)
    variables = {"params": tiny.weights("divided", GRID)}
    with pytest.raises(ValueError, match="query") as caught:
        raw(model, variables, clips, block=2, step="joint", head=2, query=(0, 2, 0))
    lines = str(caught.value).splitlines()
    assert [line.split(" is ")[0] for line in lines] == ["query", "layer", "head", "step"]
    assert "3 frames of 2 × 5 patches" in lines[0]
    assert "time, space" in lines[3]
    with pytest.raises(ValueError, match=r"treats patches alone.*query=FRAME,ROW,COLUMN"):
        raw(model, variables, clips, step="time")
    with pytest.raises(ValueError, match=r"query is 3,0,0"):
        rollout(model, variables, clips, query=(3, 0, 0))
    with pytest.raises(ValueError, match=r"classes are \[0, 5\]; they must be in \[0, 5\)"):
        relevance(model, variables, clips, classes=np.array([0, 5]))
