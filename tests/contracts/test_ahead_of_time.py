"""Steps compile for TPUs, and what they cost there is what it should be. No TPU is needed."""

import json
import os
import subprocess
import sys

import pytest

from experiments.table1 import ARGUMENTS as SCHEMES
from tests.tiny_run import ROOT

MIB, GIB = 2**20, 2**30


def compile_for(folder, topology, *cases):
    """Reports by case, from a process of its own; a topology may begin with ``base/``."""
    result = folder / "result.json"
    command = [sys.executable, "-m", "tests.contracts.on_a_slice", result, topology, *cases]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-4000:]
    return json.loads(result.read_text())


ACCUMULATED = "divided,train.accumulate=2"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Train steps of one small layer on four chips, by case."""
    return compile_for(tmp_path_factory.mktemp("tiny"), "v5e:2x2", *SCHEMES, ACCUMULATED)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_step_of_every_scheme_compiles(tiny, scheme):
    report = tiny[scheme]
    memory, costs = report["memory"], report["costs"]
    # float32, in whole tiles; the momentum and the step's number lie beside the weights.
    assert 4 * report["parameters"] <= memory["weights"] <= 8 * report["parameters"]
    assert memory["optimizer"] == pytest.approx(memory["weights"], rel=0.01)
    assert memory["batch"] >= 2 * 2 * 32 * 32 * 3  # two clips a chip, as bytes
    assert memory["outputs"] < 0.01 * memory["weights"]  # the new state takes the old one's place
    assert memory["total"] < memory["limit"] == int(15.75 * GIB)
    # Two operations a multiply-add, and three passes, but for what no result depends on: the MLP
    # for the last block's patches, and gradients of the clips; of one small block that is half.
    assert 0.45 < report["per_clip"]["flops"] / report["model_flops_per_clip"] < 1.0
    assert costs["cycles"] > 0
    assert (costs["kernels"], costs["unknown_loops"], costs["loops"]) == ([], 0, [])
    assert 0 < report["mfu_bound"] < 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_devices_that_split_a_batch_exchange_gradients_alone(tiny, scheme):
    report = tiny[scheme]
    (found,) = report["collectives"]
    assert found["kind"] == "all-reduce"
    # Some of them in bfloat16, as they are computed.
    assert 2 * report["parameters"] <= found["bytes"] <= 4.1 * report["parameters"]
    assert found["sent"] == pytest.approx(2 * 3 / 4 * found["bytes"])


def test_parts_of_a_batch_are_all_counted(tiny):
    whole, parts = tiny["divided"], tiny[ACCUMULATED]
    assert parts["costs"]["loops"] == [2]
    assert parts["per_clip"]["flops"] == pytest.approx(whole["per_clip"]["flops"], rel=0.2)
    assert parts["xla_flops"] < 0.8 * whole["xla_flops"]  # its own count: one part


# Full size, 8 clips a chip: a minute or two each on two quiet cores. Limits are a tenth above what
# libtpu 0.0.42 gives.
BASE = "divided,train.global_batch=32"


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
def test_the_base_model_compiles(tmp_path, topology):
    report = compile_for(tmp_path, f"base/{topology}", BASE)[BASE]
    memory, clip = report["memory"], report["per_clip"]
    assert report["parameters"] == 121_566_352
    assert memory["weights"] == pytest.approx(4 * 121_566_352, rel=0.02)
    # What no result depends on is left out: the last block's MLP for patches.
    assert 1.09e12 < clip["flops"] < 1.19e12
    assert memory["total"] < 0.9 * memory["limit"]
    kinds = {one["kind"] for one in report["collectives"]}
    assert kinds == {"all-reduce"}
    sent = sum(one["bytes"] for one in report["collectives"])
    assert 2 * 121_566_352 <= sent <= 4.1 * 121_566_352
