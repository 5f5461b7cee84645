"""Parameter and multiply-add counts against the paper's and the authors' code's."""

import math

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

import vidtx
from vidtx.analysis import count_macs, count_parameters
from vidtx.models import SCHEMES


def base(scheme, **options):
    return vidtx.create_model("timesformer_b16", scheme=scheme, **options)


@pytest.mark.parametrize(
    ("scheme", "ssv2", "kinetics"),
    [
        ("space", 85_932_462, 86_106_256),
        ("joint", 85_938_606, 86_112_400),
        ("divided", 121_392_558, 121_566_352),
        ("sparse_local_global", 121_392_558, 121_566_352),
        ("axial", 156_846_510, 157_020_304),
    ],
)
def test_parameters_of_the_base_model(scheme, ssv2, kinetics):
    # Table 1 prints 85.9, 85.9, 121.4, 121.4 and 156.8 M, which are those of 174 classes.
    counts = count_parameters(base(scheme, num_classes=174))
    assert counts["total"] == ssv2
    assert counts["head"] == 769 * 174
    assert counts["total"] + 769 * (400 - 174) == kinetics


def test_parameters_of_the_published_variants():
    high_resolution = base("divided", num_frames=16, image_size=448)
    assert count_parameters(high_resolution)["total"] == 122_024_080
    assert count_parameters(base("divided", num_frames=96))["total"] == 121_633_936


def test_parameters_by_part():
    step = 1_536 + 2_362_368 + 590_592
    assert count_parameters(base("axial")) == {
        "embedding": 590_592 + 768 + 151_296 + 6_144,
        "attention": 12 * 2_362_368,
        "added_steps": 12 * 2 * step,
        "mlp": 12 * 4_722_432,
        "norms": 12 * 2 * 1_536 + 1_536,
        "head": 769 * 400,
        "total": 157_020_304,
    }


@pytest.mark.parametrize(
    ("name", "vit"),
    # Of the image ViT with 1000 classes at 224², as timm and Hugging Face print it.
    [
        ("ti16", 5_717_416),
        ("b32", 88_224_232),
        ("l16", 304_326_632),
        ("h14", 632_045_800),
    ],
)
def test_a_space_model_has_the_parameters_of_the_image_vit_of_its_size(name, vit):
    model = vidtx.create_model(f"timesformer_{name}", scheme="space", num_classes=1000)
    assert count_parameters(model)["total"] == vit


SCHEME_ORDER = ("space", "joint", "divided", "sparse_local_global", "axial")


@pytest.mark.parametrize(
    ("num_frames", "image_size", "giga_macs"),
    [
        (8, 224, (140.51, 179.56, 195.83, 206.93, 249.41)),
        (16, 224, (281.01, 449.68, 392.07, 447.56, 499.23)),
        (32, 224, (562.02, 1261.80, 785.93, 1030.79, 1000.25)),
        (8, 448, (627.96, 1261.80, 850.45, 1030.79, 994.37)),
        (16, 448, (1255.91, 3973.68, 1702.69, 2605.11, 1990.53)),
        (96, 224, (1686.05, 8135.71, 2379.86, 4723.23, 3022.84)),
    ],
)
def test_macs_of_every_scheme(num_frames, image_size, giga_macs):
    """The published implementation as a counter sees it, with its ImageNet head of 1000 classes."""
    for scheme, expected in zip(SCHEME_ORDER, giga_macs, strict=True):
        macs = count_macs(
            base(scheme, num_classes=1000), num_frames=num_frames, image_size=image_size
        )
        assert round(macs.total / 1e9, 2) == expected, scheme


def test_macs_of_the_long_ssv2_model():
    macs = count_macs(base("divided", num_classes=174), num_frames=64)
    assert round(macs.total / 1e9, 2) == 1579.19


@pytest.mark.parametrize(
    ("num_frames", "image_size", "tera"), [(8, 224, 0.59), (16, 448, 5.11), (96, 224, 7.14)]
)
def test_three_views_cost_the_papers_tflops(num_frames, image_size, tera):
    macs = count_macs(base("divided", num_frames=num_frames, image_size=image_size))
    assert round(3 * macs.total / 1e12, 2) == tera


def test_macs_by_part():
    macs = count_macs(base("divided"))
    parts = (macs.embedding, macs.attention_linears, macs.attention_products, macs.mlp)
    assert [round(part / 1e9, 1) for part in parts] == [0.9, 100.1, 6.0, 88.8]
    assert [step.name for step in macs.steps] == ["time", "space"]
    assert macs.head == 768 * 400
    assert macs.total == sum(parts) + macs.head


def test_divided_is_cheaper_than_joint_only_from_eleven_frames_or_272_pixels_on():
    def ratio(**view):
        return count_macs(base("joint"), **view).total / count_macs(base("divided"), **view).total

    assert [round(ratio(num_frames=t), 3) for t in (8, 11)] == [0.917, 1.003]
    assert ratio(num_frames=10) < 1
    assert [round(ratio(image_size=s), 3) for s in (256, 272)] == [0.979, 1.013]


@pytest.mark.parametrize("scheme", SCHEME_ORDER)
def test_macs_are_those_of_the_traced_program(scheme):
    """Every product in the program is in the count: not one more, not one fewer.

    Except that the count, like the authors' code, projects the class token once for every group of
    the last step to query, key and value; the program does it once.
    """
    model = vidtx.create_model(
        "timesformer_ti8",
        scheme=scheme,
        num_classes=7,
        num_frames=4,
        image_size=(32, 48),
        embed_dim=12,
        depth=2,
        num_heads=2,
    )
    clips = jax.ShapeDtypeStruct((1, 4, 32, 48, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clips)
    traced = _products(jax.make_jaxpr(model.apply)(variables, clips).jaxpr)
    groups = {"space": 4, "joint": 1, "divided": 4, "sparse_local_global": 8, "axial": 4 * 6}
    copies = 0 if SCHEMES[scheme].class_token_per_frame else groups[scheme] - 1
    assert count_macs(model).total - traced == 2 * copies * 3 * 12**2


def _products(jaxpr):
    total = 0
    for equation in jaxpr.eqns:
        shapes = [variable.aval.shape for variable in equation.invars]
        outputs = sum(math.prod(variable.aval.shape) for variable in equation.outvars)
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += outputs * math.prod(shapes[0][axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            total += outputs * math.prod(shapes[1][:-1])
        for inner in jaxprs_in_params(equation.params):
            total += _products(inner)
    return total


def test_uneven_groups_are_counted_token_by_token():
    model = vidtx.create_model(
        "timesformer_ti8", scheme="sparse_local_global", num_frames=5, image_size=(40, 24), depth=1
    )
    local, global_ = count_macs(model).steps
    quadrants = [5 * rows * columns for rows in (3, 2) for columns in (2, 1)]
    assert local.products == 2 * 192 * sum(n**2 for n in quadrants)
    classes = [1 + t * h * w for t in (3, 2) for h in (3, 2) for w in (2, 1)]
    assert global_.products == 2 * 192 * sum(n**2 for n in classes)
    assert global_.linears == 4 * 192**2 * (75 + 8)


def test_a_view_that_the_model_cannot_take_is_refused_with_all_reasons():
    with pytest.raises(ValueError, match=r"num_frames is 0; at least 1") as error:
        count_macs(base("joint"), num_frames=0, image_size=(100, 224))
    assert "height 100 is no multiple of the patch size 16" in str(error.value)
