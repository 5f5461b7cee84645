"""Started from an image ViT, a still clip is an image: the invariant behind the initialisation."""

import numpy as np
import pytest

from . import tiny

GRID = (8, 2, 3)


def from_vit(scheme):
    """One ViT's weights in a scheme; what the ViT lacks starts as published."""
    tree, vit = tiny.weights(scheme, GRID), tiny.weights("space", GRID)
    if "time" in tree["embedding"]:
        tree["embedding"]["time"] = np.zeros_like(tree["embedding"]["time"])
    for name in ("block_0", "block_1"):
        for step in set(tree[name]) - set(vit[name]):
            # Norm and attention keep random numbers: whatever they are, a zero layer follows.
            fc = tree[name][step]["fc"]
            tree[name][step]["fc"] = {key: np.zeros_like(value) for key, value in fc.items()}
    return tree


def logits(scheme, x):
    return np.asarray(tiny.forward(tiny.create(scheme, GRID))(from_vit(scheme), x))


@pytest.fixture(scope="module")
def still():
    return np.repeat(tiny.clips((1, 2, 3)), 8, axis=1)


@pytest.fixture(scope="module")
def image_vit(still):
    """The space scheme on one frame is the image ViT."""
    return logits("space", still[:, :1])


def test_the_shared_weights_are_the_same():
    shared = tiny.flat(from_vit("space"))
    assert all(
        (tiny.flat(from_vit("divided"))[path] == leaf).all() for path, leaf in shared.items()
    )


@pytest.mark.parametrize("scheme", ["space", "divided"])
def test_a_still_clip_gives_the_image_vits_logits(scheme, still, image_vit):
    np.testing.assert_allclose(logits(scheme, still), image_vit, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scheme", ["joint", "axial"])
def test_where_the_class_token_sees_other_keys_it_does_not(scheme, still, image_vit):
    assert np.abs(logits(scheme, still) - image_vit).max() > 1e-3


def test_a_moving_clip_tells_divided_from_space():
    """Divided averages the class token in every block, space once at the end."""
    moving = tiny.clips(GRID)
    assert np.abs(logits("divided", moving) - logits("space", moving)).max() > 1e-3


def test_the_added_steps_attention_has_no_effect_before_training():
    tree = from_vit("divided")
    for name in ("block_0", "block_1"):
        attention = tree[name]["time"]["attention"]
        attention["out"]["kernel"] = attention["out"]["kernel"] + 1
    moving = tiny.clips(GRID)
    changed = tiny.forward(tiny.create("divided", GRID))(tree, moving)
    np.testing.assert_array_equal(changed, logits("divided", moving))
