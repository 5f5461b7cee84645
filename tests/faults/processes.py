"""Runs as processes of their own, to be killed, stopped and looked at afterwards."""

import pathlib
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp

from tests.tiny_run import arguments, environment, free_port
from vidtx.reporting import read_metrics

# Long enough to be hit in the middle, with all that is random, averaged or kept beside the weights.
LONG = {
    "train.steps": 100,
    "train.log_every_steps": 4,
    "checkpoint.every_steps": 7,
    "eval.every_steps": 25,
    "model.depth": 2,
    "model.drop_path": 0.2,
    "data.flip": True,
    "train.mixup": 0.8,
    "train.cutmix": 1.0,
    "train.accumulate": 2,
    "train.ema_decay": 0.9,
    "optimizer.freeze": "('embedding/patch.*',)",
    "checkpoint.keep_best": 1,
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


def start_job(data_dir, workdir, *more, count=2, devices=2, **overrides):
    """Starts the processes of a job, whose output goes to ``WORKDIR.0.out`` and so on.

    Args:
      data_dir: of the data sets.
      workdir: of the run.
      *more: arguments of all processes; a list holds those of each.
      count: number of processes.
      devices: of each.
      **overrides: of the config.
    """
    options = arguments(data_dir, workdir, **overrides)
    job = [f"--coordinator=localhost:{free_port()}", f"--num_processes={count}"]
    processes = []
    for index in range(count):
        own = [each[index] if isinstance(each, list) else each for each in more]
        command = [sys.executable, "-m", "vidtx.main", *options, *job, f"--process_id={index}"]
        with open(f"{workdir}.{index}.out", "w") as out, open(f"{workdir}.{index}.err", "w") as err:
            processes.append(
                subprocess.Popen([*command, *own], env=environment(devices), stdout=out, stderr=err)
            )
    return processes


def finish_job(processes, workdir, timeout=_TIMEOUT):
    """Waits for a job: the exit codes, and what was written to standard error, by process."""
    deadline = time.monotonic() + timeout
    try:
        codes = [process.wait(max(0, deadline - time.monotonic())) for process in processes]
    finally:
        for process in processes:
            process.kill()
    paths = [pathlib.Path(f"{workdir}.{index}.err") for index in range(len(processes))]
    return codes, [path.read_text() for path in paths]


def finish(data_dir, workdir, *more, **overrides):
    """Runs the command to its end: exit code, and what it wrote to standard error."""
    error_file = pathlib.Path(f"{workdir}.err")
    error_file.unlink(missing_ok=True)
    code = start(data_dir, workdir, *more, **overrides).wait(_TIMEOUT)
    return code, error_file.read_text()


def wait_for_step(process, workdir, step):
    """Waits until metrics of ``step`` or a later one are written; ``process`` is to do that."""
    path = pathlib.Path(workdir) / "metrics.jsonl"
    _wait_until(
        process,
        workdir,
        lambda: path.exists() and any(record["step"] >= step for record in read_metrics(path)),
    )


def wait_for_output(process, name, text):
    """Waits until the process has written ``text`` to standard output, kept in ``NAME.out``."""
    _wait_until(process, name, lambda: text in pathlib.Path(f"{name}.out").read_text())


def _wait_until(process, name, happened):
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        if happened():
            return
        if process.poll() is not None:
            paths = pathlib.Path(name).parent.glob(f"{pathlib.Path(name).name}*.err")
            raise AssertionError("\n".join(path.read_text() for path in paths))
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
    reader = ocp.PyTreeCheckpointer()
    # As NumPy arrays: the devices that it was saved from are not here.
    kinds = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
        reader.metadata(folder).item_metadata.tree,
    )
    tree = reader.restore(folder, args=ocp.args.PyTreeRestore(restore_args=kinds))
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_end(workdir, reference, step):
    """The run ended as the undisturbed one did: every array of its state, every metric."""
    state, wanted = saved_state(workdir, step), saved_state(reference, step)
    assert state.keys() == wanted.keys()
    for path, leaf in state.items():
        np.testing.assert_array_equal(leaf, wanted[path], err_msg=path)
    assert figures(workdir) == figures(reference)
    for name in ("evaluation.json", "best"):
        mine, its = pathlib.Path(workdir, name), pathlib.Path(reference, name)
        assert mine.exists() == its.exists()
        if name.endswith(".json") and mine.exists():
            assert mine.read_text() == its.read_text()
        elif mine.exists():
            steps = [
                sorted(path.name for path in folder.iterdir() if path.name.isdigit())
                for folder in (mine, its)
            ]
            assert steps[0] == steps[1]
