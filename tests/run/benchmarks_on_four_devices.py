"""``python -m tests.run.benchmarks_on_four_devices RESULT DATA_DIR``: benchmarks that really ran.

What `test_benchmark_step` looks at, as JSON: one process, as compiling is what they cost.
"""

import contextlib
import io
import json
import pathlib
import sys

from tests import tiny_run
from vidtx.cli import main as vidtx
from vidtx.config import change, load_config, resolve
from vidtx.run import problems
from vidtx.run.benchmark_all import benchmark_all

HUGE = 10**9
COMPARE = "--compare=mesh.sequence=2,3,1"
# Compiled faster than the recipe's: attention in one step, an optimiser of one moment.
OPTIONS = tiny_run.TINY | {
    "mesh.sequence": 2,
    "model.scheme": "space",
    "optimizer.name": "sgd",
    "optimizer.clip_norm": None,
    "eval.temporal_views": 2,
}


def options_of(data_dir):
    options = OPTIONS | {"data.data_dir": data_dir}
    return [f"--config.{name}={value}" for name, value in options.items()]


def everything(data_dir):
    """`benchmark_all`, as values and as text, and what it says on the way."""
    notes, config = [], load_config("motions")
    change(config, options_of(data_dir))
    spec = resolve(config, problems)
    found = benchmark_all(spec, records=1, batches=(2, 3, 4), seconds=0.3, note=notes.append)
    return {"found": found.to_dict(), "text": found.text(), "notes": notes}


def command(data_dir, *arguments):
    """What ``vidtx benchmark`` prints, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = vidtx(["benchmark", *arguments, "--config=motions", *options_of(data_dir)])
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def main():
    result, data_dir = sys.argv[1:]
    found = {
        "all": everything(data_dir),
        # No data set is there from here on, and so its classes are given.
        "compared": command("absent", "step", COMPARE, "--seconds=0.3", "--classes=8", "--json"),
        "step": command("absent", "step", "--seconds=0.1", "--classes=8"),
        "inference": command(
            "absent", "inference", "--seconds=0.1", "--classes=8", "--batch=4", "--json"
        ),
        "too_large": command("absent", "inference", "--classes=8", f"--batch={HUGE}", "--json"),
        "all_of_absent_data": command("absent", "all", "--json"),
    }
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
