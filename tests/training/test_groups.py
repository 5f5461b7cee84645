import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.defaults import defaults
from tests.models import tiny
from vidtx.config import resolve
from vidtx.errors import ConfigError
from vidtx.training.groups import describe_groups, settle


def options(**changes):
    config = defaults()
    config.train.steps = 10
    return dataclasses.replace(resolve(config).optimizer, **changes)


@functools.cache
def boxed(scheme="divided", depth=3):
    """Abstract parameters of a tiny model, with the names of their axes."""
    model = tiny.create(scheme, depth=depth)
    clip = jnp.zeros((1, model.num_frames, *model.image_size, 3))
    return jax.eval_shape(model.init, jax.random.key(0), clip)["params"]


def by_name(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in leaves}


def settled(scheme="divided", **changes):
    return by_name(settle(options(**changes), boxed(scheme)))


def message(**changes):
    with pytest.raises(ConfigError) as raised:
        settle(options(**changes), boxed())
    return str(raised.value)


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_layers_decay_from_the_head_down_as_in_beit(scheme):
    # Distance from the head, in layers, by the first part of the name.
    below = {"head": 0, "norm": 0, "block_2": 1, "block_1": 2, "block_0": 3, "embedding": 4}
    found = settled(scheme, layer_decay=0.5)
    assert found.keys() == by_name(nn.unbox(boxed(scheme))).keys()
    assert {name: share.rate for name, share in found.items()} == {
        name: 0.5 ** below[name.split("/")[0]] for name in found
    }
    assert {share.decay for share in found.values()} == {1.0}


def test_twelve_blocks_are_not_counted_as_text():
    found = by_name(settle(options(layer_decay=0.75), boxed("joint", depth=12)))
    rates = {name.split("/")[0]: share.rate for name, share in found.items()}
    assert rates["block_11"] == 0.75
    assert rates["block_2"] == pytest.approx(0.75**10)
    assert rates["embedding"] == pytest.approx(0.75**13)


def test_without_options_every_parameter_gets_everything():
    assert {(share.rate, share.decay, share.frozen) for share in settled().values()} == {
        (1.0, 1.0, False)
    }


def test_boxes_make_no_difference():
    spec = options(layer_decay=0.5, freeze=("embedding/.*",), weight_decay_on="no_1d")
    assert settle(spec, boxed()) == settle(spec, nn.unbox(boxed()))


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_no_1d_spares_norms_and_biases_and_kernels_the_tables_too(scheme):
    tables = {"embedding/class_token", "embedding/position", "embedding/time"}
    for decay_on, spared_tables in (("no_1d", set()), ("kernels", tables)):
        for name, share in settled(scheme, weight_decay_on=decay_on).items():
            spared = name.split("/")[-1] in ("bias", "scale") or name in spared_tables
            assert share.decay == (not spared), name


def test_groups_multiply_with_layers_and_with_what_decays():
    found = settled(
        groups=(("head/.*", 10.0, 0.5), ("(?!head/).*", 2.0, 3.0)),
        layer_decay=0.5,
        weight_decay_on="kernels",
    )
    kernel, bias = found["block_1/mlp/fc1/kernel"], found["block_1/mlp/fc1/bias"]
    assert (kernel.group, kernel.rate, kernel.decay) == ("(?!head/).*", 2 * 0.5**2, 3.0)
    assert (bias.rate, bias.decay) == (2 * 0.5**2, 0.0)
    assert (found["head/kernel"].rate, found["head/kernel"].decay) == (10.0, 0.5)


def test_patterns_match_whole_names():
    assert "'head'" in message(freeze=("head",))
    assert "'kernel'" in message(groups=(("kernel", 1.0, 1.0), (".*", 1.0, 1.0)))


def test_groups_are_over_what_is_not_frozen():
    found = settled(freeze=("embedding/.*", "block_.*"), groups=(("(norm|head)/.*", 2.0, 1.0),))
    trained = {name for name, share in found.items() if not share.frozen}
    assert trained == {"norm/scale", "norm/bias", "head/kernel", "head/bias"}


@pytest.mark.parametrize("option", ["freeze", "groups"])
@pytest.mark.parametrize(
    ("pattern", "close"),
    [
        ("embeding/patch/kernel", "embedding/patch/kernel"),
        ("block0/attention/qkv/kernel", "block_0/attention/qkv/kernel"),
        ("block1/.*", "block_1/.*"),
        ("xyz", "Their names begin with block_0, block_1, block_2, embedding, head, norm."),
    ],
)
def test_a_pattern_that_matches_nothing_is_named_with_what_is_close(option, pattern, close):
    value = (pattern,) if option == "freeze" else ((pattern, 1.0, 1.0), (".*", 1.0, 1.0))
    text = message(**{option: value})
    assert f"optimizer.{option} has '{pattern}', which matches no parameter" in text
    assert close in text


def test_every_pattern_that_matches_nothing_is_named():
    text = message(freeze=("one", "two"))
    assert "'one'" in text
    assert "'two'" in text


@pytest.mark.parametrize("freeze", [(".*",), ("(?!head/).*", "head/.*")])
def test_something_must_train(freeze):
    count = len(jax.tree.leaves(boxed()))
    assert f"which matches all {count} parameters" in message(freeze=freeze)


def test_all_that_no_group_or_several_match_is_told_at_once():
    text = message(groups=(("head/.*", 1.0, 1.0), (".*/bias", 2.0, 1.0)))
    none, several = text.splitlines()
    names = by_name(nn.unbox(boxed()))
    left = [name for name in names if not name.startswith("head/") and not name.endswith("/bias")]
    assert f"no pattern for {', '.join(left[:10])} and " in none
    assert f"and {len(left) - 10} more. " in none
    assert left[10] not in none
    assert "several patterns for head/bias ('head/.*', '.*/bias')." in several


def test_a_group_of_frozen_parameters_alone_is_refused():
    text = message(freeze=("head/.*",), groups=(("head/.*", 2.0, 1.0), ("(?!head/).*", 1.0, 1.0)))
    assert "'head/.*', which matches only parameters that optimizer.freeze holds" in text


def test_layers_that_it_does_not_know_are_refused():
    params = {"head": {"kernel": np.zeros((2, 2))}, "stem": {"kernel": np.zeros((2, 2))}}
    settle(options(), params)
    with pytest.raises(ConfigError, match=r"the layer of stem/kernel\. .*=1\.0"):
        settle(options(layer_decay=0.9), params)
    settle(options(layer_decay=0.9, freeze=("stem/.*",)), params)


def sizes(prefixes):
    shapes = {name: leaf.shape for name, leaf in by_name(nn.unbox(boxed())).items()}
    chosen = [math.prod(shape) for name, shape in shapes.items() if name.startswith(prefixes)]
    return len(chosen), sum(chosen)


def test_the_description_counts_every_parameter_once():
    assert describe_groups(options(), boxed()) == [("all", *sizes(""), 1.0, 1.0)]
    groups = (("(norm|head)/.*", 2.0, 0.5), ("block_.*", 0.1, 1.0))
    assert describe_groups(options(freeze=("embedding/.*",), groups=groups), boxed()) == [
        ("frozen", *sizes("embedding/"), 0.0, 0.0),
        ("(norm|head)/.*", *sizes(("norm/", "head/")), 2.0, 0.5),
        ("block_.*", *sizes("block_"), 0.1, 1.0),
    ]


def test_the_description_says_how_layers_and_decay_differ():
    rows = describe_groups(options(layer_decay=0.5, weight_decay_on="no_1d"), boxed())
    layers = ("embedding", "block_0", "block_1", "block_2", "head", "norm")
    expected = [(f"all, {layer}", decay) for layer in layers for decay in (0.0, 1.0)]
    expected.remove(("all, norm", 1.0))
    assert [(row.group, row.weight_decay) for row in rows] == expected
    assert [row.learning_rate for row in rows] == [
        0.0625, 0.0625, 0.125, 0.125, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0, 1.0,
    ]  # fmt: skip
    assert (sum(row.arrays for row in rows), sum(row.parameters for row in rows)) == sizes("")
