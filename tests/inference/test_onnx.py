"""The program of docs/export.md that makes ONNX of an exported folder, run as it is written there.

It needs an environment of its own, whose Python ``VIDTX_ONNX_PYTHON`` names.
"""

import os
import re
import subprocess

import pytest

from tests.inference.exporting import SCHEMES, checkpoint
from tests.tiny_run import ROOT
from vidtx.inference.export import export

PYTHON = os.environ.get("VIDTX_ONNX_PYTHON")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason="VIDTX_ONNX_PYTHON names no Python with jax2onnx"),
]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_onnxruntime_answers_as_the_model_does(scheme, tmp_path):
    text = (ROOT / "docs" / "export.md").read_text()
    (program,) = re.findall(r"```python\n(import sys\n.*?)```", text, re.DOTALL)
    export(checkpoint(tmp_path / "run", scheme), tmp_path / "exported")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [PYTHON, "-c", program, tmp_path / "exported", tmp_path / "model.onnx"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    (difference,) = re.findall(r"largest difference of a logit: (\S+)", done.stdout)
    assert float(difference) < 1e-5
    assert (tmp_path / "model.onnx").stat().st_size > 10_000
