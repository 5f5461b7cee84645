"""Loop or scan, and what is computed again: no result depends on it, memory does."""

import functools

import jax
import numpy as np
import pytest

from vidtx.models.timesformer import REMAT

from . import tiny

DEPTH, GRID, BATCH = 2, (4, 2, 4), 4
# Every value of each option; tests/contracts/test_sequence.py has a scan without recomputation.
VARIANTS = [("none", False), ("products", False), ("full", True)]


@functools.cache
def compiled(remat, scan):
    """Gradients and logits of a training pass, with paths dropped."""
    model = tiny.create(
        "divided", GRID, depth=DEPTH, drop_path=0.4, remat=remat, scan_layers=scan
    )  # fmt: skip

    def loss(tree, x, key):
        logits = model.apply({"params": tree}, x, train=True, rngs={"dropout": key})
        return (logits**2).sum(), logits

    program = jax.jit(jax.grad(loss, has_aux=True), compiler_options=tiny.COMPILER_OPTIONS)
    return program.lower(*arguments()).compile()


def arguments(seed=0):
    tree = tiny.weights("divided", GRID, depth=DEPTH)
    return tree, tiny.clips(GRID, BATCH), jax.random.key(seed)


def kept(batch=BATCH, **options):
    """What a backward pass is handed by its forward pass, weights included."""
    model = tiny.create("divided", GRID, depth=4, **options)
    tree, x = tiny.weights("divided", GRID, depth=4), tiny.clips(GRID, batch)
    backward = jax.eval_shape(
        lambda tree, x: jax.vjp(lambda tree: model.apply({"params": tree}, x), tree)[1], tree, x
    )
    return jax.tree.leaves(backward)


def test_the_variants_hold_every_option():
    assert {remat for remat, _ in VARIANTS} == set(REMAT)
    assert {scan for _, scan in VARIANTS} == {False, True}


@pytest.mark.parametrize(("remat", "scan"), VARIANTS[1:])
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_and_draws_are_the_same(remat, scan, seed):
    wanted, wanted_logits = compiled(*VARIANTS[0])(*arguments(seed))
    gradients, logits = compiled(remat, scan)(*arguments(seed))
    np.testing.assert_allclose(logits, wanted_logits, rtol=0, atol=1e-5)
    found = tiny.flat(jax.device_get(gradients))
    for path, right in tiny.flat(jax.device_get(wanted)).items():
        assert np.abs(found[path] - right).max() <= 1e-5 * np.abs(right).max(), path


def test_the_seed_matters():
    """Or equal draws would say nothing."""
    one, other = (compiled("none", scan=False)(*arguments(seed))[1] for seed in (0, 1))
    assert np.abs(one - other).max() > 1e-2


@pytest.mark.parametrize("scan", [False, True])
def test_the_more_is_computed_again_the_less_is_kept(scan):
    none, products, full = (
        sum(leaf.size for leaf in kept(remat=remat, scan_layers=scan)) for remat in REMAT
    )
    assert none > 1.5 * products > 1.5**2 * full


def test_in_full_a_block_keeps_its_input():
    patches = [leaf.shape for leaf in kept(batch=7, remat="full") if leaf.shape[0] == 7]
    assert patches.count((7, *GRID, tiny.DIM)) == 4
    # The rest are class tokens, and what the embedding and the head keep.
    assert all(np.prod(shape[1:]) <= tiny.DIM for shape in patches if len(shape) < 5)


@pytest.mark.parametrize("options", [{"scan_layers": True}, {"remat": "full"}])
def test_parameters_and_their_names_are_those_of_the_plain_loop(options):
    def shapes(model):
        boxed = jax.eval_shape(model.init, jax.random.key(0), tiny.clips(GRID))["params"]
        return jax.tree.map(lambda leaf: leaf.shape, boxed), jax.tree.structure(boxed)

    assert shapes(tiny.create("divided", GRID, **options)) == shapes(tiny.create("divided", GRID))


def test_a_scanned_model_s_program_does_not_grow_with_its_depth():
    def products(depth, scan):
        model = tiny.create("divided", GRID, depth=depth, scan_layers=scan)
        tree, x = tiny.weights("divided", GRID, depth=depth), tiny.clips(GRID, BATCH)
        lowered = jax.jit(lambda tree, x: model.apply({"params": tree}, x)).lower(tree, x)
        return lowered.as_text().count("dot_general")

    assert products(2, scan=True) == products(4, scan=True)
    assert products(2, scan=False) < products(4, scan=False)


def test_bfloat16_weights_are_stacked_in_bfloat16():
    model = tiny.create("divided", GRID, depth=DEPTH, scan_layers=True, dtype="bfloat16")
    tree, x, _ = arguments()
    text = str(jax.make_jaxpr(lambda tree, x: model.apply({"params": tree}, x))(tree, x))
    dim = tiny.DIM
    assert f"bf16[{DEPTH},{dim},{4 * dim}]" in text
    assert f"f32[{DEPTH},{dim},{4 * dim}]" not in text


def test_of_splash_attention_its_result_is_kept_and_no_more():
    """Its kernel writes a sum for each query 128 times over, and cuts it down afterwards."""
    grid = (2, 8, 9)  # 145 keys, in two blocks of 128
    model = tiny.create("joint", grid, depth=2, attention="splash", remat="products")
    tree, x = tiny.weights("joint", grid, depth=2), tiny.clips(grid, 1)
    handed = jax.tree.leaves(
        jax.eval_shape(
            lambda tree: jax.vjp(lambda tree: model.apply({"params": tree}, x), tree)[1], tree
        )
    )
    shapes = [leaf.shape for leaf in handed]
    heads, width = model.num_heads, model.embed_dim // model.num_heads
    padded = {shape[-2] for shape in shapes if shape[-1:] == (width,) and heads in shape}
    assert max(padded) >= 145  # the attended heads, of whole blocks
    assert not [shape for shape in shapes if shape[-1:] == (128,)]
