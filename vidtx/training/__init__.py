"""Training: optimiser, state, step, loop, and stopping on a signal."""

from vidtx.training.augment import augment, draw
from vidtx.training.groups import describe_groups
from vidtx.training.loop import Parts, Schedule, train
from vidtx.training.nans import nans_named
from vidtx.training.optimizer import make_optimizer, make_schedule
from vidtx.training.profile import Trace
from vidtx.training.signals import StopSignal
from vidtx.training.state import (
    TrainState,
    Window,
    abstract_state,
    boxed_params,
    init_state,
    reset_window,
    start_from,
)
from vidtx.training.step import TrainStep, make_train_step
from vidtx.training.targets import make_targets

__all__ = [
    "Parts",
    "Schedule",
    "StopSignal",
    "Trace",
    "TrainState",
    "TrainStep",
    "Window",
    "abstract_state",
    "augment",
    "boxed_params",
    "describe_groups",
    "draw",
    "init_state",
    "make_optimizer",
    "make_schedule",
    "make_targets",
    "make_train_step",
    "nans_named",
    "reset_window",
    "start_from",
    "train",
]
