"""Checkpoints: saved while training goes on, restored onto any mesh."""

from vidtx.checkpoints.store import CheckpointStore

__all__ = ["CheckpointStore"]
