"""Starting runs elsewhere: on Cloud TPUs by gcloud or xpk, on GPU clusters by Slurm.

Composes the commands of those programs, shows them, and runs them one after the other. Nothing
here knows JAX, and nothing asks a network by itself.
"""

from vidtx.launch.accelerators import FAMILIES, Accelerator, read_accelerator
from vidtx.launch.commands import Command, check_programs, run
from vidtx.launch.gke import GkeRun
from vidtx.launch.life import carry_out
from vidtx.launch.machines import QueuedSlices, TpuVm
from vidtx.launch.slurm import SlurmRun
from vidtx.launch.tpu import TpuRun
from vidtx.launch.training import Training

__all__ = [
    "FAMILIES",
    "Accelerator",
    "Command",
    "GkeRun",
    "QueuedSlices",
    "SlurmRun",
    "TpuRun",
    "TpuVm",
    "Training",
    "carry_out",
    "check_programs",
    "read_accelerator",
    "run",
]
