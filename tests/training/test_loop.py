"""The loop with real parts and a tiny model, on clips that are made up."""

import dataclasses
import functools
import itertools
import os
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny_run
from vidtx import create_model
from vidtx.config import MeshSpec, ProfileSpec, resolve
from vidtx.errors import DivergedError, StoppedError
from vidtx.sharding import done_mark, make_mesh, place_batch
from vidtx.training import (
    Parts,
    Schedule,
    StopSignal,
    Trace,
    abstract_state,
    boxed_params,
    init_state,
    make_optimizer,
    make_train_step,
    reset_window,
    train,
)


class Silent:
    def update(self, step, **figures):
        pass


@dataclasses.dataclass
class Machine:
    """Compiled parts; a run with them notes what happened, in order."""

    mesh: object
    step: object
    shardings: object
    first: object

    def state(self):
        return jax.device_put(self.first, self.shardings)

    def run(self, state, when, first=0, stop=None, batches=None, given=None, **options):
        happened = []

        parts = Parts(
            batches=batches or (batch(n) for n in itertools.count(first)),
            place=lambda rows: place_batch(rows, self.mesh),
            step=self.step,
            mark=lambda state: done_mark(state.step),
            reset_window=lambda state: reset_window(state, self.mesh),
            learning_rate=lambda step: 0.1 * 0.9**step,
            evaluate=lambda step, state: happened.append(("evaluate", step)),
            save=lambda step, state: happened.append(("save", step)),
            write=lambda step, figures: happened.append(("write", step, figures)),
            progress=Silent(),
            stop=stop or StopSignal(),
            trace=Trace(ProfileSpec(first_step=None, steps=1), "profile"),
            utilisation=lambda speed: None,
        )
        parts = dataclasses.replace(parts, **given or {})
        try:
            last = train(state, first, parts, when, **options)
        except Exception as error:
            error.happened = happened
            raise
        return last, happened


def batch(number):
    random = np.random.RandomState(number)
    return {
        "video": random.randint(0, 256, (4, 2, 8, 8, 3), np.uint8),
        "label": random.randint(0, 3, 4, np.int32),
        "index": random.randint(0, 99, 4).astype(np.uint32),
        "replaced": np.zeros(4, np.int32),
    }


@functools.cache
def machine():
    options = {"optimizer.name": "sgd", "optimizer.clip_norm": None}
    spec = resolve(tiny_run.tiny_config("data", **options))
    mesh = make_mesh(MeshSpec(**{**dataclasses.asdict(spec.mesh), "data": -1, "fsdp": 1}))
    model = create_model(
        "timesformer_ti8", num_classes=3, num_frames=2, image_size=8, embed_dim=8, depth=1,
        num_heads=2, drop_path=0.0,
    )  # fmt: skip
    # A sound learning rate, but for states that claim to have seen a thousand steps.
    rate = lambda step: jnp.where(step < 1000, 0.01, 1e30)  # noqa: E731
    params = jax.eval_shape(lambda: boxed_params(model))
    optimizer = make_optimizer(spec.optimizer, rate, params)
    abstract = abstract_state(model, optimizer, mesh)
    step = make_train_step(spec, model, optimizer, mesh, abstract)
    # Computed once: every call of init_state compiles anew.
    state = jax.device_get(init_state(model, optimizer, 0, mesh))
    return Machine(mesh, step, jax.tree.map(lambda leaf: leaf.sharding, abstract), state)


def order(happened):
    return [event[:2] for event in happened]


def values(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(jax.device_get(state))]


def test_state_n_is_the_state_after_n_updates():
    state, happened = machine().run(machine().state(), Schedule(5, log=2, save=3, evaluate=4))
    assert int(state.step) == 5
    assert order(happened) == [
        ("write", 2), ("save", 3), ("write", 4), ("evaluate", 4),
        ("write", 5), ("save", 5), ("evaluate", 5),
    ]  # fmt: skip


def test_going_on_from_the_middle_ends_bit_equal():
    when = Schedule(5, log=2, save=9, evaluate=None)
    whole, _ = machine().run(machine().state(), when)
    # The first stretch ends where the whole run writes, so that both start an empty window there.
    half, _ = machine().run(machine().state(), Schedule(2, log=2, save=9, evaluate=None))
    rest, happened = machine().run(half, when, first=2)
    assert order(happened)[0] == ("write", 4)
    for a, b in zip(values(whole), values(rest), strict=True):
        np.testing.assert_array_equal(a, b)


def test_figures_are_means_over_the_steps_since_the_last_line():
    def lines(log):
        _, happened = machine().run(machine().state(), Schedule(6, log=log, save=9, evaluate=None))
        return {event[1]: event[2] for event in happened if event[0] == "write"}

    each, three = lines(1), lines(3)
    for end in (3, 6):
        for name in ("train/loss", "train/grad_norm", "train/accuracy"):
            losses = [each[step][name] for step in range(end - 2, end + 1)]
            assert three[end][name] == pytest.approx(np.mean(losses), rel=1e-6)
        # The rate of the step that led to the state: the one from state 2 to state 3.
        assert three[end]["train/learning_rate"] == pytest.approx(0.1 * 0.9 ** (end - 1))


def test_throughput_counts_the_clips_of_this_process_alone():
    """Resumed within a window: its sums hold clips that the process before has seen."""
    three, _ = machine().run(machine().state(), Schedule(3, log=9, save=9, evaluate=None))
    window = three.window
    window = window.replace(steps=window.steps + 3, clips=window.clips + 12)
    three = three.replace(window=window)

    def batches():
        time.sleep(0.3)
        yield batch(3)

    when = Schedule(4, log=4, save=9, evaluate=None)
    _, happened = machine().run(three, when, first=3, batches=batches())
    (figures,) = [event[2] for event in happened if event[0] == "write"]
    assert 0 < figures["timing/clips_per_second"] <= 4 / 0.3


def test_a_state_whose_evaluation_was_interrupted_is_judged_first():
    _, happened = machine().run(
        machine().state(), Schedule(1, log=1, save=1, evaluate=1), evaluate_first=True
    )
    assert order(happened) == [("evaluate", 0), ("write", 1), ("save", 1), ("evaluate", 1)]


def test_broken_weights_end_the_run_unsaved():
    state = machine().state()
    broken = state.replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
    with pytest.raises(DivergedError, match=r"not finite at step 1 .seen at step 2") as caught:
        machine().run(broken, Schedule(6, log=2, save=2, evaluate=2))
    assert caught.value.exit_code == 3
    # What was seen is written down; the state is neither saved nor evaluated.
    ((event, step, written),) = caught.value.happened
    assert (event, step) == ("write", 2)
    assert np.isnan(written["train/loss"])


def test_a_huge_learning_rate_ends_the_run_at_its_first_bad_step():
    state = machine().state()
    late = jax.tree.map(
        lambda leaf: leaf + 1000 if leaf.dtype == jnp.int32 else leaf, state.opt_state
    )
    with pytest.raises(DivergedError, match=r"not finite at step \d .seen at step 5") as caught:
        machine().run(state.replace(opt_state=late), Schedule(6, log=5, save=5, evaluate=None))
    assert [event for event, *_ in caught.value.happened] == ["write"]


@pytest.mark.parametrize("when", [{"log": 9, "save": 2}, {"log": 2, "save": 9}])
def test_divergence_shows_wherever_the_loop_looks(when):
    state = machine().state()
    broken = state.replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
    with pytest.raises(DivergedError, match="seen at step 2"):
        machine().run(broken, Schedule(6, evaluate=None, **when))


def test_a_diverged_state_is_not_judged():
    state = machine().state()
    broken = state.replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
    with pytest.raises(DivergedError) as caught:
        machine().run(broken, Schedule(6, log=4, save=4, evaluate=2))
    assert caught.value.happened == []


def test_a_signal_stops_after_the_step_and_saves():
    def batches():
        yield batch(0)
        os.kill(os.getpid(), signal.SIGTERM)
        yield batch(1)
        raise AssertionError("a batch was taken after the signal")

    with StopSignal() as stop, pytest.raises(StoppedError, match="SIGTERM after step 2") as caught:
        machine().run(
            machine().state(), Schedule(6, log=9, save=9, evaluate=None), stop=stop,
            batches=batches(),
        )  # fmt: skip
    assert caught.value.happened == [("save", 2)]
    assert caught.value.exit_code == 4


def test_what_goes_wrong_with_data_leaves_the_state_saved():
    def batches():
        yield batch(0)
        yield batch(1)
        raise OSError("the cable was pulled")

    with pytest.raises(OSError, match="cable") as caught:
        machine().run(
            machine().state(), Schedule(6, log=9, save=9, evaluate=None), batches=batches()
        )
    assert caught.value.happened == [("save", 2)]


def test_a_step_takes_the_memory_of_the_state_that_it_is_given():
    state = machine().state()
    after = machine().step(state, place_batch(batch(0), machine().mesh))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.params, state.opt_state)))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


def test_the_host_runs_ahead_by_two_steps_and_no_further():
    """On steps that take their time: what is ready when batch n is put on the devices."""
    ready, marks = [], []
    slow = jax.jit(lambda step, x: step + (0 * _hundreds_of_products(x)).astype(step.dtype))
    x = jnp.ones((300, 300))

    def step(state, rows):
        state = machine().step(state, rows)
        return state.replace(step=slow(state.step, x))

    def mark(state):
        marks.append(done_mark(state.step))
        return marks[-1]

    def place(rows):
        ready.append([mark.is_ready() for mark in marks])
        return place_batch(rows, machine().mesh)

    given = {"step": step, "mark": mark, "place": place}
    when = Schedule(12, log=99, save=99, evaluate=None)
    last, _ = machine().run(machine().state(), when, given=given)
    assert [len(steps) for steps in ready] == list(range(12))
    assert all(all(steps[:-2]) for steps in ready), "more than two steps are waited for"
    assert not all(all(steps) for steps in ready), "the host waits for every step"
    plain, _ = machine().run(machine().state(), when)
    for a, b in zip(values(plain), values(last), strict=True):
        np.testing.assert_array_equal(a, b)


def _hundreds_of_products(x):
    """Takes some hundredths of a second."""
    return jax.lax.fori_loop(0, 300, lambda _, y: jnp.sin(x @ y), x).sum()
