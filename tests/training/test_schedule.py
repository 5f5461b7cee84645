import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.defaults import defaults
from vidtx.config import resolve
from vidtx.training import Schedule, make_optimizer, make_schedule


def options(**changes):
    config = defaults()
    config.train.steps = 10
    return dataclasses.replace(resolve(config).optimizer, **changes)


def rates(total, warmup=0, **changes):
    """Learning rate of each step of a run, and of the one after."""
    schedule = make_schedule(options(learning_rate=0.8, **changes), total, warmup)
    return np.array([float(schedule(step)) for step in range(total + 1)])


def test_a_constant_rate_after_a_linear_warm_up():
    found = rates(6, schedule="constant", warmup=4)
    np.testing.assert_allclose(found, [0.0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8], rtol=1e-6)


def test_a_cosine_ends_at_zero():
    found = rates(8, schedule="cosine", warmup=4)
    down = 0.8 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2
    np.testing.assert_allclose(found, [0.0, 0.2, 0.4, 0.6, *down], atol=1e-7)
    assert found[-1] == pytest.approx(0.0, abs=1e-8)
    assert found[-2] > 0.1


def test_a_cosine_without_warm_up_starts_at_the_top():
    found = rates(4, schedule="cosine")
    np.testing.assert_allclose(found, 0.8 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2, atol=1e-7)


@pytest.mark.parametrize(("total", "first", "second"), [(15, 11, 14), (1000, 733, 933)])
@pytest.mark.parametrize("warmup", [0, 5])
def test_steps_drop_at_the_epochs_of_the_paper(total, first, second, warmup):
    found = rates(total, schedule="step", warmup=warmup)
    expected = np.full(total + 1, 0.8)
    expected[:warmup] = 0.8 * np.arange(warmup) / max(warmup, 1)
    expected[first:] = 0.08
    expected[second:] = 0.008
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_other_steps_may_drop_otherwise():
    found = rates(10, schedule="step", decay_at=(0.2, 0.5, 0.9), decay_factor=0.5)
    expected = [0.8] * 2 + [0.4] * 3 + [0.2] * 4 + [0.1] * 2
    np.testing.assert_allclose(found, expected, rtol=1e-6)


PARAMS = {
    "norm": {"scale": np.array([1.0, 2.0]), "bias": np.array([0.5, -0.5])},
    "fc": {"kernel": np.array([[1.0, -2.0], [3.0, 0.25]]), "bias": np.array([0.1, 0.2])},
    "position": np.array([[0.3, -0.7]]),
}


def gradients(number):
    """Some gradients, others at every step."""
    return jax.tree.map(lambda leaf: np.cos(leaf * 3 + number), PARAMS)


def updated(optimizer, steps, gradient=gradients):
    """The parameters after so many steps."""
    params = jax.tree.map(jnp.asarray, PARAMS)
    state = optimizer.init(params)
    for number in range(steps):
        changes, state = optimizer.update(
            jax.tree.map(jnp.asarray, gradient(number)), state, params
        )
        params = jax.tree.map(jnp.add, params, changes)
    return params


@pytest.mark.parametrize("decay_on", ["all", "kernels"])
def test_sgd_is_nesterov_with_l2(decay_on):
    spec = options(name="sgd", momentum=0.9, weight_decay=0.1, weight_decay_on=decay_on)
    found = updated(make_optimizer(spec, lambda step: 0.1 / (step + 1), PARAMS), 3)

    def reference(path, leaf):
        decayed = decay_on == "all" or "kernel" in jax.tree_util.keystr(path)
        value, momentum = leaf, np.zeros_like(leaf)
        for number in range(3):
            gradient = np.cos(leaf * 3 + number) + 0.1 * decayed * value
            momentum = gradient + 0.9 * momentum
            value = value - 0.1 / (number + 1) * (gradient + 0.9 * momentum)
        return value

    expected = jax.tree.map_with_path(reference, PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_adamw_is_adam_with_decay_beside_it():
    spec = options(name="adamw", b1=0.8, b2=0.9, weight_decay=0.2, weight_decay_on="kernels")
    found = updated(make_optimizer(spec, lambda step: 0.01 * (step + 1), PARAMS), 3)

    def reference(path, leaf):
        decay = 0.2 * ("kernel" in jax.tree_util.keystr(path))
        value, first, second = leaf, np.zeros_like(leaf), np.zeros_like(leaf)
        for number in range(3):
            gradient = np.cos(leaf * 3 + number)
            first = 0.8 * first + 0.2 * gradient
            second = 0.9 * second + 0.1 * gradient**2
            adam = first / (1 - 0.8 ** (number + 1))
            adam = adam / (np.sqrt(second / (1 - 0.9 ** (number + 1))) + 1e-8)
            value = value - 0.01 * (number + 1) * (adam + decay * value)
        return value

    expected = jax.tree.map_with_path(reference, PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("decay_on", ["all", "no_1d", "kernels"])
def test_decay_alone_touches_what_it_should(name, decay_on):
    spec = options(name=name, weight_decay=0.5, weight_decay_on=decay_on)
    still = jax.tree.map(np.zeros_like, PARAMS)
    found = updated(make_optimizer(spec, lambda step: 0.1, PARAMS), 1, lambda number: still)
    shrunk = {
        jax.tree_util.keystr(path)
        for path, ratio in jax.tree.leaves_with_path(
            jax.tree.map(lambda a, b: float(np.mean(a / b)), found, PARAMS)
        )
        if ratio < 0.99
    }
    assert (
        shrunk
        == {
            "all": {jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(PARAMS)},
            "no_1d": {"['fc']['kernel']", "['position']"},
            "kernels": {"['fc']['kernel']"},
        }[decay_on]
    )


def test_gradients_are_clipped_by_their_global_norm():
    norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradients(0))))
    spec = options(name="sgd", momentum=0.0, weight_decay=0.0)

    def change(clip_norm):
        clipped = dataclasses.replace(spec, clip_norm=clip_norm)
        optimizer = make_optimizer(clipped, lambda step: 1.0, PARAMS)
        return jax.tree.map(np.subtract, PARAMS, updated(optimizer, 1))

    halved = jax.tree.map(lambda leaf: leaf / 2, gradients(0))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # noqa: E731
    jax.tree.map(close, change(norm / 2), halved)
    jax.tree.map(close, change(2 * norm), gradients(0))
    jax.tree.map(close, change(None), gradients(0))


def test_clipping_does_not_touch_the_decay():
    spec = options(name="sgd", momentum=0.0, weight_decay=1.0, clip_norm=1e-9)
    found = updated(make_optimizer(spec, lambda step: 0.1, PARAMS), 1)
    np.testing.assert_allclose(found["fc"]["kernel"], 0.9 * PARAMS["fc"]["kernel"], rtol=1e-5)


def test_the_loop_s_schedule_does_everything_at_the_end():
    when = Schedule(total=10, log=3, save=4, evaluate=5)
    steps = range(1, 11)
    assert [step for step in steps if when.logs(step)] == [3, 6, 9, 10]
    assert [step for step in steps if when.saves(step)] == [4, 8, 10]
    assert [step for step in steps if when.evaluates(step)] == [5, 10]


def test_without_an_interval_only_the_last_state_is_judged():
    when = Schedule(total=10, log=1, save=10, evaluate=None)
    assert [step for step in range(1, 11) if when.evaluates(step)] == [10]
    assert [step for step in range(1, 11) if when.saves(step)] == [10]


def test_nothing_is_judged_before_the_first_step():
    when = Schedule(total=10, log=3, save=4, evaluate=5)
    assert not when.evaluates(0)
