"""Configs: found by path or name, resolved into frozen specifications, checked all at once."""

from vidtx.config.checks import Duration
from vidtx.config.flags import change, is_option, read_flags
from vidtx.config.load import experiments, find_config, load_config
from vidtx.config.resolve import differences, resolve, to_dict
from vidtx.config.specs import DataSpec, MeshSpec, ModelSpec, RunSpec
from vidtx.config.training_specs import (
    CheckpointSpec,
    DebugSpec,
    EvalSpec,
    OptimizerSpec,
    ProfileSpec,
    TrainSpec,
)

__all__ = [
    "CheckpointSpec",
    "DataSpec",
    "DebugSpec",
    "Duration",
    "EvalSpec",
    "MeshSpec",
    "ModelSpec",
    "OptimizerSpec",
    "ProfileSpec",
    "RunSpec",
    "TrainSpec",
    "change",
    "differences",
    "experiments",
    "find_config",
    "is_option",
    "load_config",
    "read_flags",
    "resolve",
    "to_dict",
]
