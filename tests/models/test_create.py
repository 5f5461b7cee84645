"""Named sizes, refused arguments, refused clips, and bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidtx
from vidtx.models import SIZES

from . import tiny


@pytest.mark.parametrize(
    ("name", "embed_dim", "depth", "heads", "mlp_dim"),
    [
        ("ti", 192, 12, 3, 768),
        ("s", 384, 12, 6, 1536),
        ("b", 768, 12, 12, 3072),
        ("l", 1024, 24, 16, 4096),
        ("h", 1280, 32, 16, 5120),
    ],
)
def test_named_sizes(name, embed_dim, depth, heads, mlp_dim):
    model = vidtx.create_model(f"timesformer_{name}14", num_frames=5, image_size=(28, 42))
    made = (model.embed_dim, model.depth, model.num_heads, model.mlp_dim)
    assert made == (embed_dim, depth, heads, mlp_dim)
    assert model.patch_size == 14
    assert model.token_grid == (5, 2, 3)
    assert name in SIZES


def test_defaults_are_the_published_base_model():
    model = vidtx.create_model("timesformer_b16")
    assert (model.scheme, model.num_classes, model.token_grid) == ("divided", 400, (8, 14, 14))
    assert (model.drop_path, model.position_embedding) == (0.1, "space_time")
    assert model.dtype == jnp.float32


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ({"name": "timesformer_x16"}, ["'timesformer_x16'", "ti, s, b, l, h", "timesformer_b16"]),
        ({"name": "timesformer_b0"}, ["'timesformer_b0'", "patch"]),
        ({"scheme": "divded"}, ["'divded'", "space, joint, divided, sparse_local_global, axial"]),
        ({"num_classes": 0}, ["num_classes is 0", "at least 1"]),
        ({"num_frames": 0}, ["num_frames is 0", "at least 1"]),
        ({"depth": -1}, ["depth is -1", "at least 1"]),
        ({"num_heads": 0}, ["num_heads is 0", "at least 1"]),
        ({"num_heads": 5}, ["embed_dim 768", "5 heads"]),
        ({"image_size": 100}, ["height 100", "width 100", "patch size 16"]),
        ({"image_size": (224, 8)}, ["width 8", "patch size 16"]),
        ({"drop_path": 1.0}, ["drop_path is 1.0", "[0, 1)"]),
        ({"drop_path": float("nan")}, ["drop_path is nan", "[0, 1)"]),
        ({"position_embedding": "time"}, ["'time'", "none, space, space_time"]),
        ({"dtype": "float16"}, ["dtype is 'float16'", "float32 or bfloat16"]),
    ],
)
def test_an_impossible_argument_is_refused_with_its_value_and_its_bounds(arguments, fragments):
    with pytest.raises(ValueError, match=r"\S") as error:
        vidtx.create_model(**{"name": "timesformer_b16"} | arguments)
    assert all(fragment in str(error.value) for fragment in fragments), str(error.value)


def test_all_impossible_arguments_are_named_at_once():
    with pytest.raises(ValueError, match="scheme") as error:
        vidtx.create_model(
            "timesformer_b16", scheme="all", depth=0, image_size=(100, 224), dtype="float16"
        )
    assert len(str(error.value).splitlines()) == 4


CLIP = (1, *tiny.GRID[:1], 8, 12, 3)


@pytest.mark.parametrize(
    ("shape", "dtype", "fragments"),
    [
        (CLIP[1:], "float32", ["(4, 8, 12, 3)", "[clips, frames, height, width, 3]"]),
        ((1, 3, 4, 8, 12), "float32", ["(1, 3, 4, 8, 12)", "[clips, frames, height, width, 3]"]),
        ((1, 4, 8, 12, 1), "float32", ["(1, 4, 8, 12, 1)", "[clips, frames, height, width, 3]"]),
        (CLIP, "uint8", ["uint8", "floating point", "/ 255"]),
        ((1, 0, 8, 12, 3), "float32", ["0 frames", "at least 1"]),
        ((1, 4, 10, 12, 3), "float32", ["height 10", "patch size 4", "Crop or resize"]),
        ((1, 4, 8, 2, 3), "float32", ["width 2", "patch size 4", "Crop or resize"]),
    ],
)
def test_clips_that_do_not_fit_are_refused(shape, dtype, fragments):
    model = tiny.create("divided")
    with pytest.raises(ValueError, match="clips") as error:
        jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, dtype))
    assert all(fragment in str(error.value) for fragment in fragments), str(error.value)


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_any_frame_count_and_image_size_of_one_model(scheme):
    tree, model = tiny.weights(scheme), tiny.create(scheme)
    for grid in [(1, 1, 1), (2, 3, 5), (9, 4, 1), (17, 2, 3)]:
        x = jax.ShapeDtypeStruct(tiny.clips(grid).shape, jnp.float32)
        logits = jax.eval_shape(model.apply, {"params": tree}, x)
        assert (logits.shape, logits.dtype) == ((2, tiny.CLASSES), jnp.float32)


@pytest.mark.parametrize("scheme", ["space", "divided", "sparse_local_global"])
def test_bfloat16_stays_close_to_float32(scheme):
    tree, x = tiny.weights(scheme), tiny.clips((3, 5, 3))
    expected, _ = tiny.reference(scheme, tree, x)
    logits = tiny.forward(tiny.create(scheme, dtype="bfloat16"))(tree, x)
    assert logits.dtype == jnp.float32
    error = np.abs(np.asarray(logits) - expected).max()
    # Eight bits of mantissa through two blocks, on logits of about one: more would be a fault,
    # and none at all would be float32 in disguise.
    assert 1e-5 < error < 0.05
