"""A comparison of real runs: stopped half-way, resumed, and finished for good."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.tiny_run import environment
from vidtx.reporting import read_metrics, wilson_interval

CONFIG = """
from tests.tiny_run import tiny_config

ARGUMENTS = ("space", "joint")

def get_config(scheme=None):
    config = tiny_config({data_dir!r})
    config.model.scheme = scheme or "divided"
    config.train.steps = 100
    config.eval.every_steps = 50
    return config
"""
_TIMEOUT = 240  # seconds


class Comparison:
    """A comparison's command line and what it leaves."""

    def __init__(self, folder, data_dir):
        self.workdir = folder / "compared"
        self._config = folder / "tiny.py"
        self._config.write_text(CONFIG.format(data_dir=str(data_dir)))
        self._out = folder / "out"

    def start(self, *options):
        command = [
            sys.executable, "-m", "vidtx.compare", f"--config={self._config}",
            f"--workdir={self.workdir}", *options,
        ]  # fmt: skip
        with open(self._out, "w") as out:
            return subprocess.Popen(command, env=environment(), stdout=out, stderr=out)

    def finish(self, *options):
        code = self.start(*options).wait(_TIMEOUT)
        return code, self._out.read_text()

    def output(self):
        return self._out.read_text()

    def run(self, scheme, seed):
        return self.workdir / scheme / f"seed_{seed}"

    def table(self):
        return json.loads((self.workdir / "table.json").read_text())


@pytest.fixture(scope="module")
def stages(motions_dir, tmp_path_factory):
    """Stopped in its second run, started again to its end, and once more: what each left."""
    comparison = Comparison(tmp_path_factory.mktemp("comparison"), motions_dir)
    process = comparison.start("--seeds=0,1")
    metrics = comparison.run("joint", 0) / "metrics.jsonl"
    deadline = time.monotonic() + _TIMEOUT
    while not (metrics.exists() and read_metrics(metrics)):
        assert process.poll() is None, comparison.output()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    stages = {"stopped": (process.wait(_TIMEOUT), comparison.output(), comparison.table())}
    stages["comparison"] = comparison
    stages["first"] = files_of(comparison.run("space", 0))
    stages["resumed"] = (*comparison.finish("--seeds=0,1"), comparison.table())
    stages["all"] = files_of(comparison.workdir / "space")
    stages["again"] = (*comparison.finish("--seeds=0,1"), comparison.table())
    return stages


def files_of(folder):
    """Times of all files."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_comparison_that_is_stopped_keeps_what_it_has(stages):
    code, output, table = stages["stopped"]
    assert code == 4, output
    assert "vidtx: Stopped by SIGTERM. The same command goes on from there." in output
    assert "Traceback" not in output
    assert [len(row["runs"]) for row in table["rows"]] == [1, 0]
    assert "attention scheme" in output  # the table so far


def test_what_was_finished_is_not_repeated_and_what_was_stopped_goes_on(stages):
    code, output, _ = stages["resumed"]
    assert code == 0, output
    assert "── space, seed 0 (1 of 4): " in output
    assert output.count("finished already") == 1
    assert "Going on after step" in output
    first = stages["first"]
    assert {path: time for path, time in stages["all"].items() if path in first} == first
    stopped = read_metrics(stages["comparison"].run("joint", 0) / "metrics.jsonl")
    steps = [record["step"] for record in stopped if "train/loss" in record]
    assert steps == list(range(2, 101, 2))


def test_a_finished_comparison_starts_nothing(stages):
    code, output, table = stages["again"]
    assert code == 0, output
    assert output.count("finished already") == 4
    assert "clips/s" not in output
    assert files_of(stages["comparison"].workdir / "space") == stages["all"]
    assert table == stages["resumed"][2]


def test_the_table_says_what_the_runs_say(stages):
    comparison, (_, output, table) = stages["comparison"], stages["again"]
    assert (table["column"], table["score"], table["seeds"]) == (
        "attention scheme", "top1", [0, 1],
    )  # fmt: skip
    markdown = (comparison.workdir / "table.md").read_text()
    assert [row["name"] for row in table["rows"]] == ["space", "joint"]
    for row in table["rows"]:
        scores = []
        for seed, run in enumerate(row["runs"]):
            folder = comparison.run(row["name"], seed)
            evaluation = json.loads((folder / "evaluation.json").read_text())
            scores.append(evaluation["top1"])
            assert (run["score"], run["step"], run["examples"]) == (evaluation["top1"], 100, 16)
            assert run["wilson_95"] == list(wilson_interval(evaluation["top1"], 16))
            assert 0 < run["minutes"] < 5
        assert len(scores) == 2
        assert row["mean"] == pytest.approx(np.mean(scores))
        assert row["deviation"] == pytest.approx(np.std(scores, ddof=1))
        mean, deviation = row["mean"] * 100, row["deviation"] * 100
        assert f"{mean:.1f} ± {deviation:.1f} %" in markdown
        assert f"{row['parameters']:,} parameters" in stages["resumed"][1]
        assert 0 < row["macs"] < 10**8
    assert table["judged"].startswith("Judged on split test of the data ")
    assert str(comparison.workdir / "table.md") in output


def test_the_curves_of_all_rows_are_drawn(stages):
    with Image.open(stages["comparison"].workdir / "curves.png") as image:
        pixels = {tuple(pixel) for pixel in np.asarray(image.convert("RGB")).reshape(-1, 3)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= pixels


def test_runs_of_another_config_are_refused_by_the_run_itself(stages):
    comparison = stages["comparison"]
    before = files_of(comparison.workdir / "space")
    code, output = comparison.finish("--seeds=0,1", "--config.optimizer.learning_rate=0.5")
    assert code == 2
    assert "holds a run of another config" in output
    assert "optimizer.learning_rate" in output
    assert files_of(comparison.workdir / "space") == before
    code, output = comparison.finish("--seeds=0,1")
    assert (code, output.count("finished already")) == (0, 4)


def test_a_run_that_was_trained_apart_says_itself_that_it_is_finished(stages):
    comparison = stages["comparison"]
    (comparison.run("joint", 1) / "finished").unlink()
    code, output = comparison.finish("--seeds=1", "--arguments=joint")
    assert code == 0, output
    assert "Finished already, after step 100" in output
    assert (comparison.run("joint", 1) / "finished").exists()
    assert [row["name"] for row in comparison.table()["rows"]] == ["joint"]


def test_a_directory_of_a_run_is_kept_by_its_seed(stages):
    workdir: pathlib.Path = stages["comparison"].workdir
    assert sorted(os.listdir(workdir / "joint")) == ["seed_0", "seed_1"]
