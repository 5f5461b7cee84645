"""A run is one program: nothing compiles twice, and the loop waits for nothing."""

import collections
import dataclasses
import types

import jax
import pytest

from vidtx import run
from vidtx.config import ProfileSpec, resolve
from vidtx.training import Parts, Schedule, StopSignal, Trace, Window, train

_COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations():
    """Counts of the programs compiled since the test began, by function."""
    counts = collections.Counter()

    def note(event, duration, fun_name="unnamed", **_):
        if event == _COMPILED:
            counts[fun_name] += 1

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(note)
    yield counts
    jax.monitoring.unregister_event_duration_listener(note)


def test_nothing_compiles_twice(tiny_config, tmp_path, compilations):
    """With evaluation, accumulation, averaged weights, and a last batch that is not full."""
    options = {
        "train.accumulate": 2,
        "train.ema_decay": 0.9,
        "train.mixup": 0.8,
        "eval.every_steps": 2,
        "eval.global_batch": 6,  # of 16 videos
    }

    def counted(steps):
        compilations.clear()
        jax.clear_caches()
        config = tiny_config(**options, **{"train.steps": steps})
        run.run_train(resolve(config), tmp_path / str(steps))
        return dict(compilations)

    short, long = counted(4), counted(10)
    assert short == long, "a longer run compiles more"
    print(short)
    assert short["jit(train_step)"] == short["jit(eval_step)"] == 1


class Unread:
    """A state that must not be looked at between lines of metrics, but for whether it is there."""

    step = types.SimpleNamespace(is_ready=lambda: True)


class EndOfTestError(Exception):
    """Raised by a part, to leave the loop."""


def parts(**given):
    """Parts of a loop, of which only those that a test gives are there."""
    trace = Trace(ProfileSpec(first_step=None, steps=1), "unused")
    absent = dict.fromkeys(field.name for field in dataclasses.fields(Parts))
    return Parts(**absent | {"stop": StopSignal(), "trace": trace} | given)


WHEN = Schedule(total=1000, log=100, save=100, evaluate=100)


class Mark:
    """What is waited for in place of a state; it notes that it was."""

    def __init__(self, number, waited_for):
        self.number, self.waited_for = number, waited_for

    def block_until_ready(self):
        self.waited_for.append(self.number)
        return self


def test_the_loop_looks_at_no_state_between_lines_of_metrics():
    """Steps of a run whose states hold no arrays: reading anything of them would raise.

    Three batches are on the devices at most: of the step that runs, and two ahead of it.
    """
    taken, waited_for, placed = [], [], []

    def place(batch):
        assert waited_for == list(range(batch - 2)), (
            "step 0 … n - 3 are done when batch n is placed"
        )
        placed.append(batch)
        return batch

    def step(state, batch):
        assert isinstance(state, Unread)
        taken.append(batch)
        if len(taken) == 50:
            raise EndOfTestError
        return Unread()

    def mark(state):
        assert isinstance(state, Unread)
        return Mark(taken[-1], waited_for)

    given = {"batches": iter(range(99)), "place": place, "step": step, "mark": mark}
    with pytest.raises(EndOfTestError):
        train(Unread(), 0, parts(**given), WHEN)
    assert taken == placed == list(range(50))


@pytest.mark.parametrize("part", ["batches", "place", "step"])
def test_moving_data_unasked_inside_the_loop_is_an_error(part):
    """What the transfer guard is there for: an array that slips from host to device."""

    def slip(*_):
        return jax.numpy.zeros(3) + 1

    def step(state, batch):
        raise EndOfTestError

    given = {"batches": iter(range(9)), "place": int, "step": step, "save": lambda *_: None}
    given["mark"] = lambda state: state
    given[part] = map(slip, range(9)) if part == "batches" else slip
    state = types.SimpleNamespace(window=Window.empty(), step=Unread.step)
    with pytest.raises(Exception, match=r"Disallowed host-to-device transfer"):
        train(state, 0, parts(**given), WHEN)
