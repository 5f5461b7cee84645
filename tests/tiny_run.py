"""A run that trains within seconds, and programs that need processes or devices of their own."""

import importlib.metadata
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

from experiments.motions import get_config

ROOT = pathlib.Path(__file__).parents[1]


def tiny_config(data_dir, **overrides):
    """Four steps of motions on a model of one block; ``overrides`` have dotted names."""
    config = get_config()
    config.name = "tiny"
    config.model.embed_dim, config.model.depth, config.model.num_heads = 32, 1, 2
    config.data.data_dir = str(data_dir)
    config.data.frames = 4
    config.train.global_batch, config.train.steps, config.train.log_every_steps = 8, 4, 2
    config.optimizer.warmup_steps = 1
    config.eval.global_batch, config.eval.every_steps = 16, None
    config.checkpoint.every_steps = 2
    config.update_from_flattened_dict(overrides)
    return config


def environment(devices=1):
    """The environment of a process that has so many simulated devices."""
    flags = [
        f"--xla_force_host_platform_device_count={devices}",
        # Compiling is what these programs spend their time on.
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
    if importlib.metadata.version("jax").startswith("0.10."):
        flags.append("--xla_cpu_use_fusion_emitters=false")  # three times as long to compile
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": " ".join(flags),
        "PYTHONPATH": os.pathsep.join(paths),
    }


def run_program(module, *arguments, devices=8):
    """What the program ``python -m module RESULT *arguments`` writes as JSON to RESULT."""
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder, "result.json")
        process = subprocess.run(
            [sys.executable, "-m", module, result, *arguments],
            env=environment(devices),
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr[-4000:]
        return json.loads(result.read_text())


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def run_two_processes(module, folder, *arguments, devices=2, fails=False):
    """What ``python -m module RESULT PORT INDEX *arguments`` writes as JSON, and says, as process 0
    and as process 1 of a job: their results, exit codes and standard errors.
    """
    port, results = str(free_port()), [folder / "0.json", folder / "1.json"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", module, result, port, str(index), *arguments],
            env=environment(devices), cwd=folder, stderr=subprocess.PIPE, text=True,
        )
        for index, result in enumerate(results)
    ]  # fmt: skip
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    codes = [process.returncode for process in processes]
    assert all(result.exists() for result in results), errors
    assert fails or codes == [0, 0], errors
    return [json.loads(result.read_text()) for result in results], codes, errors


# Of a model of one block, so small that starting and compiling are all it costs.
TINY = {
    "model.embed_dim": 32,
    "model.depth": 1,
    "model.num_heads": 2,
    "data.frames": 4,
    "train.global_batch": 8,
    "train.steps": 4,
    "train.log_every_steps": 2,
    "optimizer.warmup_steps": 1,
    "eval.global_batch": 16,
    "eval.every_steps": 1000,
    "checkpoint.every_steps": 2,
}


def arguments(data_dir, workdir, config="motions", **overrides):
    """The command line of a tiny run; ``overrides`` have dotted names."""
    options = {"data.data_dir": data_dir} | TINY | overrides
    return [
        f"--config={config}",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in options.items()),
    ]
