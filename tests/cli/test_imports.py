"""Commands about data do without the accelerator's libraries."""

import os
import subprocess
import sys
import textwrap

import pytest

import vidtx
from tests.tiny_run import ROOT


def test_building_and_auditing_import_neither_jax_nor_flax_nor_tensorflow(tmp_path, videos):
    program = textwrap.dedent(
        f"""
        import sys
        import vidtx
        from vidtx.cli import main
        heavy = {{"jax", "jaxlib", "flax", "tensorflow"}}
        assert not heavy & set(sys.modules), "at import"
        build = ["data", "build", "folder", "--videos={videos}", "--out={tmp_path}"]
        assert main([*build, "--name=mine", "--shards=1", "--workers=1"]) == 0
        assert not heavy & set(sys.modules), "at building"
        assert main(["data", "audit", "{tmp_path}/mine", "--workers=1"]) == 0
        assert not heavy & set(sys.modules), "at auditing"
        from data_pipelines.build import worker
        assert not heavy & set(sys.modules), "in a worker"
        """
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_what_needs_jax_is_there_when_it_is_asked_for():
    from vidtx.models import create_model

    assert vidtx.create_model is create_model
    assert vidtx.__version__
    assert set(vidtx.__all__) <= set(dir(vidtx))
    with pytest.raises(AttributeError, match="'vidtx' has no attribute 'create_modle'"):
        _ = vidtx.create_modle
