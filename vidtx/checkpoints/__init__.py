"""Checkpoints: saved while training goes on, kept if they are the best, restored onto any mesh."""

from vidtx.checkpoints.best import BestStore
from vidtx.checkpoints.store import CheckpointStore
from vidtx.checkpoints.weights import Weights, restore_weights

__all__ = ["BestStore", "CheckpointStore", "Weights", "restore_weights"]
