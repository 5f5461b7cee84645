import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.defaults import defaults
from tests.models import tiny
from vidtx.config import resolve
from vidtx.training import make_optimizer


def options(**changes):
    config = defaults()
    config.train.steps = 10
    return dataclasses.replace(resolve(config).optimizer, **changes)


PARAMS = {
    "embedding": {"table": np.array([[0.3, -0.0, 0.0, -0.7]], np.float32)},
    "block_0": {"fc": {"kernel": np.array([[1.0, -2.0], [3.0, 0.25]], np.float32)}},
    "head": {"kernel": np.array([[0.5, 0.75]], np.float32), "bias": np.array([0.1], np.float32)},
}
RECIPES = {
    "sgd": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1, "clip_norm": None},
    "adamw": {"name": "adamw", "b1": 0.8, "b2": 0.9, "weight_decay": 0.1, "clip_norm": None},
}


def schedule(step):
    return 0.1 / (step + 1)


def gradients(number):
    return jax.tree.map(lambda leaf: np.cos(leaf * 3 + number), PARAMS)


def trained(rule, params=PARAMS, steps=4, gradient=gradients):
    """Parameters and optimiser state after some updates, compiled as a step compiles them."""

    @jax.jit
    def step(params, state, gradient):
        updates, state = rule.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.asarray, params)
    state = rule.init(params)
    for number in range(steps):
        params, state = step(params, state, gradient(number))
    return jax.device_get(params), jax.device_get(state)


def plain(recipe, rate=1.0, decay=1.0):
    """The same rule from optax's own parts alone."""
    spec = options(**RECIPES[recipe])
    decay *= spec.weight_decay
    if recipe == "adamw":
        return optax.adamw(lambda n: rate * schedule(n), spec.b1, spec.b2, weight_decay=decay)
    sgd = optax.sgd(lambda n: rate * schedule(n), spec.momentum, nesterov=True)
    return optax.chain(optax.add_decayed_weights(decay), sgd)


def assert_close(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), found, expected)


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("recipe", RECIPES)
def test_without_options_the_rule_is_that_of_optax(recipe, clip_norm):
    spec = options(**RECIPES[recipe] | {"clip_norm": clip_norm})
    rule = plain(recipe)
    if clip_norm is not None:
        rule = optax.chain(optax.clip_by_global_norm(clip_norm), rule)
    found, state = trained(make_optimizer(spec, schedule, PARAMS))
    expected, expected_state = trained(rule)
    assert_close(found, expected)
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [
        leaf.shape for leaf in jax.tree.leaves(expected_state)
    ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_group_is_trained_as_if_alone_with_its_own_rates(recipe):
    groups = (("embedding/.*", 0.0, 1.0), ("block_.*", 0.5, 3.0), ("head/.*", 4.0, 0.0))
    spec = options(**RECIPES[recipe], groups=groups)
    found, _ = trained(make_optimizer(spec, schedule, PARAMS))
    for name, rate, decay in (("embedding", 0.0, 1.0), ("block_0", 0.5, 3.0), ("head", 4.0, 0.0)):
        alone, _ = trained(
            plain(recipe, rate, decay),
            PARAMS[name],
            gradient=lambda n, name=name: gradients(n)[name],
        )
        assert_close(found[name], alone)
    np.testing.assert_array_equal(found["embedding"]["table"], PARAMS["embedding"]["table"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_layer_decay_scales_the_whole_update_of_a_layer(recipe):
    found, _ = trained(
        make_optimizer(options(**RECIPES[recipe], layer_decay=0.5), schedule, PARAMS)
    )
    for name, rate in (("embedding", 0.25), ("block_0", 0.5), ("head", 1.0)):
        alone, _ = trained(
            plain(recipe, rate), PARAMS[name], gradient=lambda n, name=name: gradients(n)[name]
        )
        assert_close(found[name], alone)


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_frozen_keeps_every_bit_and_holds_no_memory(recipe):
    def broken(number):
        return gradients(number) | {"embedding": {"table": np.full((1, 4), np.nan, np.float32)}}

    spec = options(**RECIPES[recipe] | {"clip_norm": 1.0}, freeze=("embedding/.*", "head/bias"))
    rule = make_optimizer(spec, schedule, PARAMS)
    found, state = trained(rule, gradient=broken)
    params = jax.tree.map(jnp.asarray, PARAMS)
    updates, _ = rule.update(broken(0), rule.init(params), params)
    for after in (found, optax.apply_updates(params, updates)):
        for group, name in (("embedding", "table"), ("head", "bias")):
            # Bits: -0.0 and 0.0 are equal as numbers.
            bits = np.asarray(after[group][name]).view(np.uint32)
            np.testing.assert_array_equal(bits, PARAMS[group][name].view(np.uint32))
    assert np.isfinite(found["head"]["kernel"]).all()
    assert not np.allclose(found["head"]["kernel"], PARAMS["head"]["kernel"])
    shapes = [leaf.shape for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert sorted(shapes) == sorted([(1, 2), (2, 2)] * (1 if recipe == "sgd" else 2))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_rest_is_trained_as_if_the_frozen_were_not_there(recipe):
    changes = RECIPES[recipe] | {"clip_norm": 0.1, "weight_decay_on": "no_1d"}
    found, _ = trained(
        make_optimizer(options(**changes, freeze=("embedding/.*",)), schedule, PARAMS)
    )
    rest = {name: leaf for name, leaf in PARAMS.items() if name != "embedding"}
    alone, _ = trained(
        make_optimizer(options(**changes), schedule, rest),
        rest,
        gradient=lambda n: {name: gradients(n)[name] for name in rest},
    )
    assert_close({name: found[name] for name in rest}, alone)


@pytest.mark.parametrize("recipe", RECIPES)
def test_moments_carry_the_names_of_their_parameters_axes(recipe):
    model = tiny.create("divided")
    clip = jnp.zeros((1, model.num_frames, *model.image_size, 3))
    boxed = jax.eval_shape(model.init, jax.random.key(0), clip)["params"]
    spec = options(**RECIPES[recipe], freeze=("embedding/.*",), layer_decay=0.5)
    rule = make_optimizer(spec, schedule, boxed)
    state = jax.eval_shape(rule.init, boxed)

    def names(tree):
        is_box = lambda leaf: isinstance(leaf, nn.LogicallyPartitioned)  # noqa: E731
        boxes = [leaf for leaf in jax.tree.leaves(tree, is_leaf=is_box) if is_box(leaf)]
        return sorted((box.names, box.value.shape) for box in boxes)

    trained_params = {name: leaf for name, leaf in boxed.items() if name != "embedding"}
    moments = names(trained_params) * (1 if recipe == "sgd" else 2)
    assert names(state) == sorted(moments)
    # Made with boxes, it works without: a step sees parameters and state unboxed.
    params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), nn.unbox(boxed))
    updates, after = jax.eval_shape(rule.update, params, nn.unbox(state), params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert jax.tree.structure(after) == jax.tree.structure(nn.unbox(state))
