"""Lengths in steps, epochs or examples."""

import pytest

from experiments.defaults import defaults
from vidtx.config import Duration, resolve
from vidtx.errors import ConfigError

UNITS = ("steps", "epochs", "examples")


def resolved(**changes):
    config = defaults()
    config.train.steps = 1000
    config.update_from_flattened_dict(changes)
    return resolve(config)


@pytest.mark.parametrize(
    ("unit", "length", "steps"),
    [("steps", 7, 7), ("epochs", 2.0, 25), ("epochs", 0.1, 1), ("examples", 64, 8)],
)
def test_each_unit_in_steps(unit, length, steps):
    duration = Duration("train.", **dict.fromkeys(UNITS) | {unit: length})
    assert duration.in_steps(train_examples=100, global_batch=8) == steps


def test_no_duration_is_no_number_of_steps():
    duration = Duration("eval.every_", None, None, None)
    assert not duration.given
    assert duration.in_steps(100, 8) is None


@pytest.mark.parametrize("stem", ["train.", "optimizer.warmup_", "checkpoint.every_"])
@pytest.mark.parametrize("lengths", [(None, None, None), (10, 1.0, None), (10, None, 10)])
def test_exactly_one_unit_is_given(stem, lengths):
    changes = {f"{stem}{unit}": length for unit, length in zip(UNITS, lengths, strict=True)}
    with pytest.raises(ConfigError, match=f"(?s)a problem.*{stem}steps.*exactly one of the three"):
        resolved(**changes)


def test_evaluations_may_have_no_interval_but_not_two():
    assert not resolved().eval.every.given
    assert resolved(**{"eval.every_epochs": 0.5}).eval.every.in_steps(1000, 10) == 50
    with pytest.raises(ConfigError, match="at most one of the three"):
        resolved(**{"eval.every_epochs": 0.5, "eval.every_steps": 10})


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("length", [0, -1])
def test_a_run_is_longer_than_nothing(unit, length):
    changes = {"train.steps": None, f"train.{unit}": float(length) if unit == "epochs" else length}
    with pytest.raises(ConfigError, match=f"train.{unit} is {length}.*above 0"):
        resolved(**changes)


def test_a_warm_up_may_be_nothing_but_not_less():
    assert resolved(**{"optimizer.warmup_steps": 0}).optimizer.warmup.in_steps(100, 8) == 0
    with pytest.raises(ConfigError, match=r"optimizer\.warmup_steps is -1; it must be at least 0"):
        resolved(**{"optimizer.warmup_steps": -1})
