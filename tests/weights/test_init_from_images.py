"""Begun with an image ViT's weights, every scheme starts as that: added steps do nothing yet."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from tests.models import tiny
from tests.weights import sources
from vidtx.checkpoints.digests import named_leaves
from vidtx.inference.load import nested
from vidtx.models import SCHEMES
from vidtx.weights import fit

GRID = (4, 2, 3)
# Where the class token sees a frame, or copies of it, it cannot tell a still clip from an image.
AS_THE_IMAGE = ("space", "divided", "divided_space_first", "divided_parallel")
OTHERWISE = tuple(scheme for scheme in SCHEMES if scheme not in AS_THE_IMAGE)


def image_weights():
    return sources.image(GRID)


@functools.cache
def begun(scheme):
    """A model, and its parameters: the ViT's, and its own where the ViT has none."""
    model = tiny.create(scheme, GRID)
    fitted = fit(image_weights(), model)
    new = [entry.ours for entry in fitted.report.of("new")]

    def init():
        params = nn.unbox(model.init(jax.random.key(3), tiny.clips(GRID))["params"])
        return {name: leaf for name, leaf in named_leaves(params).items() if name in new}

    own = jax.jit(init, compiler_options=tiny.COMPILER_OPTIONS)()
    return model, {**fitted.taken, **own}


def logits(scheme, x, params=None):
    model, own = begun(scheme)
    return np.asarray(tiny.forward(model)(nested(own if params is None else params), x))


@pytest.fixture(scope="module")
def picture():
    return tiny.clips((1, *GRID[1:]))


@pytest.fixture(scope="module")
def image_vit(picture):
    """The logits of the ViT itself, which is the space scheme on one frame."""
    vit = tiny.create("space", (1, *GRID[1:]))
    return np.asarray(tiny.forward(vit)(nested(image_weights().params), picture))


@pytest.mark.parametrize("scheme", AS_THE_IMAGE)
def test_a_still_clip_gives_the_image_vits_logits(scheme, picture, image_vit):
    still = np.repeat(picture, GRID[0], axis=1)
    np.testing.assert_allclose(logits(scheme, still), image_vit, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scheme", OTHERWISE)
def test_where_the_class_token_sees_other_keys_it_does_not(scheme, picture, image_vit):
    """Joint dilutes the class token among copies of a patch; axial shows it columns alone."""
    still = np.repeat(picture, GRID[0], axis=1)
    assert np.abs(logits(scheme, still) - image_vit).max() > 1e-3


def test_a_moving_clip_tells_divided_from_space():
    """Divided averages the class token in every block, space once at the end."""
    moving = tiny.clips(GRID)
    assert np.abs(logits("divided", moving) - logits("space", moving)).max() > 1e-3
    # The order of steps of which one does nothing does not matter.
    for scheme in ("divided_space_first", "divided_parallel"):
        np.testing.assert_allclose(
            logits(scheme, moving), logits("divided", moving), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if SCHEMES[scheme].added_steps])
def test_added_steps_have_the_vits_attention_and_no_effect(scheme):
    _, params = begun(scheme)
    changed = dict(params)
    for step in SCHEMES[scheme].added_steps:
        for block in ("block_0", "block_1"):
            qkv = f"{block}.{step.name}.attention.qkv.kernel"
            np.testing.assert_array_equal(params[qkv], params[f"{block}.attention.qkv.kernel"])
            changed[f"{block}.{step.name}.attention.out.bias"] = params["norm.scale"] + 1
    moving = tiny.clips(GRID)
    still_the_same = logits(scheme, moving, changed)
    np.testing.assert_array_equal(still_the_same, logits(scheme, moving))
    for step in SCHEMES[scheme].added_steps:  # and would have one
        changed[f"block_0.{step.name}.fc.kernel"] = params["block_0.attention.out.kernel"]
        assert np.abs(logits(scheme, moving, changed) - still_the_same).max() > 1e-3
