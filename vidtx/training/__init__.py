"""Training: optimiser, state, step, loop, and stopping on a signal."""

from vidtx.training.augment import preprocess, step_keys
from vidtx.training.loop import Parts, Schedule, train
from vidtx.training.optimizer import make_optimizer, make_schedule
from vidtx.training.signals import StopSignal
from vidtx.training.state import TrainState, Window, abstract_state, init_state
from vidtx.training.step import make_train_step, reset_window

__all__ = [
    "Parts",
    "Schedule",
    "StopSignal",
    "TrainState",
    "Window",
    "abstract_state",
    "init_state",
    "make_optimizer",
    "make_schedule",
    "make_train_step",
    "preprocess",
    "reset_window",
    "step_keys",
    "train",
]
