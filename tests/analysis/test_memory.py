"""What is kept for the backward pass: all residuals of the traced program, and each one's share."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType

import vidtx
from vidtx.analysis.memory import kept_for_backward
from vidtx.sharding import AXES

CLIPS = 8
PATCHES = 4 * 4 * 4


def mesh(**lengths):
    types = (AxisType.Auto,) * len(AXES)
    return AbstractMesh(tuple(lengths.get(axis, 1) for axis in AXES), AXES, axis_types=types)


def tiny(scheme="divided", **options):
    sizes = {"num_frames": 4, "image_size": 32, "embed_dim": 32, "depth": 1, "num_heads": 2}
    return vidtx.create_model(
        "timesformer_ti8", scheme=scheme, num_classes=8, platform="cpu", **sizes | options
    )


@functools.cache
def kept(model, clips=CLIPS, **lengths):
    return kept_for_backward(model, mesh(**lengths), clips)


def residual_bytes(model):
    """Of the whole model on one device, everything but the parameters themselves."""
    clips = jax.ShapeDtypeStruct((CLIPS, 4, 32, 32, 3), jnp.float32)
    variables = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), clips))

    def forward(variables, clips):
        run = lambda variables: model.apply(  # noqa: E731
            variables, clips, train=True, rngs={"dropout": jax.random.key(1)}
        )
        _, pull_back = jax.vjp(run, variables)
        own = [id(leaf) for leaf in jax.tree.leaves(variables)]
        return [leaf for leaf in jax.tree.leaves(pull_back) if id(leaf) not in own]

    kept = jax.eval_shape(forward, variables, clips)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("space", {"dtype": "bfloat16"}),
        ("divided", {"remat": "products", "scan_layers": True}),
    ],
)
def test_of_a_deep_model_everything_that_it_keeps_is_counted(scheme, options):
    model = tiny(scheme, depth=4, **options)
    found = kept(model)
    # The keys of the random draws, some bytes each, may be made in the one place or the other.
    assert found.activations + found.weights == pytest.approx(residual_bytes(model), abs=512)


def test_with_full_remat_a_block_keeps_what_goes_into_it():
    more, fewer = (kept(tiny("joint", depth=depth, remat="full")).activations for depth in (3, 2))
    assert more - fewer == CLIPS * (PATCHES + 1) * 32 * 4


def test_each_policy_of_remat_keeps_less_than_the_one_before():
    sizes = [kept(tiny("joint", remat=remat)).activations for remat in ("none", "products", "full")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_what_depends_on_the_clips_is_split_like_them():
    model = tiny("space")
    one = kept(model).activations
    assert kept(model, data=2, fsdp=2).activations == one / 4
    assert kept(model, sequence=2).activations == pytest.approx(one / 2, rel=0.02)
    # Four frames over three devices: one of them has two.
    assert one / 2 * 0.98 < kept(model, sequence=3).activations < one


def test_tensor_splits_what_has_heads_or_a_hidden_layer_and_nothing_else():
    one, two = kept(tiny()), kept(tiny(), tensor=2)
    # Of the MLP's hidden layer at least what the second product is given.
    hidden = CLIPS * PATCHES * 128 * 4
    assert hidden / 2 < one.activations - two.activations < one.activations / 2


def test_bfloat16_keeps_copies_of_weights_and_smaller_activations():
    wide, narrow = kept(tiny()), kept(tiny(dtype="bfloat16"))
    kernels = 32 * (3 * 32 + 32) * 2 + 32 * 32 + 2 * 32 * 128
    assert narrow.weights >= 2 * kernels
    assert wide.weights < kernels
    assert narrow.activations < wide.activations


def test_splash_attention_stores_no_logits():
    long = {"num_frames": 16, "image_size": 64, "dtype": "bfloat16"}  # 1,025 tokens
    plain, splash = (
        kept(tiny("joint", attention=attention, **long), 1).activations
        for attention in ("xla", "splash")
    )
    # Of two heads, in bfloat16; what splash attention keeps instead is a hundredth of that.
    assert plain - splash > 0.9 * 2 * 1025**2 * 2
    assert splash < 2 * 1025**2 * 4
