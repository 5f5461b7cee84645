"""Runs as processes of their own, to be killed, stopped and looked at afterwards."""

import pathlib
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp

from tests.tiny_run import arguments, environment
from vidtx.reporting import read_metrics

# Long enough to be hit in the middle, with drop path, so that random numbers matter too.
LONG = {
    "train.steps": 100,
    "train.log_every_steps": 4,
    "checkpoint.every_steps": 7,
    "eval.every_steps": 25,
    "model.depth": 2,
    "model.drop_path": 0.2,
    "data.flip": True,
}

_TIMEOUT = 240  # seconds


def start(data_dir, workdir, *more, largest_file=None, **overrides):
    """Starts the command; its output goes to files beside the working directory.

    With ``largest_file`` (bytes), the system refuses to make any file longer than that.
    """
    workdir = pathlib.Path(workdir)
    options = arguments(data_dir, workdir, **overrides)
    command = [sys.executable, "-m", "vidtx.main", *options, *more]
    if largest_file:
        blocks = largest_file // 512
        command = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *command]
    with open(f"{workdir}.out", "a") as out, open(f"{workdir}.err", "a") as err:
        return subprocess.Popen(command, env=environment(), stdout=out, stderr=err)


def finish(data_dir, workdir, *more, **overrides):
    """Runs the command to its end: exit code, and what it wrote to standard error."""
    error_file = pathlib.Path(f"{workdir}.err")
    error_file.unlink(missing_ok=True)
    code = start(data_dir, workdir, *more, **overrides).wait(_TIMEOUT)
    return code, error_file.read_text()


def wait_for_step(process, workdir, step):
    """Waits until metrics of ``step`` or a later one are written."""
    path = pathlib.Path(workdir) / "metrics.jsonl"
    _wait_until(
        process,
        workdir,
        lambda: path.exists() and any(record["step"] >= step for record in read_metrics(path)),
    )


def wait_for_output(process, workdir, text):
    """Waits until the process has written ``text`` to standard output."""
    _wait_until(process, workdir, lambda: text in pathlib.Path(f"{workdir}.out").read_text())


def _wait_until(process, workdir, happened):
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        if happened():
            return
        assert process.poll() is None, pathlib.Path(f"{workdir}.err").read_text()
        time.sleep(0.01)
    raise TimeoutError(f"it did not happen in {_TIMEOUT} s")


def figures(workdir):
    """Metrics without what the clock decides."""
    return [
        {key: value for key, value in record.items() if not key.startswith("timing/")}
        for record in read_metrics(pathlib.Path(workdir) / "metrics.jsonl")
    ]


def saved_steps(workdir):
    """Steps of the complete checkpoints."""
    folder = pathlib.Path(workdir) / "checkpoints"
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def saved_state(workdir, step):
    """Every array of a checkpoint, by its path."""
    folder = pathlib.Path(workdir).absolute() / "checkpoints" / str(step) / "state"
    tree = ocp.StandardCheckpointer().restore(folder)
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_end(workdir, reference, step):
    """The run ended as the undisturbed one did: every array of its state, every metric."""
    state, wanted = saved_state(workdir, step), saved_state(reference, step)
    assert state.keys() == wanted.keys()
    for path, leaf in state.items():
        np.testing.assert_array_equal(leaf, wanted[path], err_msg=path)
    assert figures(workdir) == figures(reference)
