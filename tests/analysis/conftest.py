"""Small programs, compiled for TPUs in a process of their own."""

import json
import os
import subprocess
import sys

import pytest

from tests.tiny_run import ROOT


@pytest.fixture(scope="session")
def on_a_slice(tmp_path_factory):
    """What `tests.analysis.on_a_slice` found."""
    result = tmp_path_factory.mktemp("slice") / "result.json"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-m", "tests.analysis.on_a_slice", result],
        env=environment, cwd=result.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-4000:]
    return json.loads(result.read_text())


@pytest.fixture(scope="session")
def programs(on_a_slice):
    """By name: the text of a program, and what XLA's own analysis says."""
    return on_a_slice["programs"]
