"""Checkpoints of tiny models of every scheme, to be exported, and programs that know no vidtx."""

import json
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp

from tests.inference.asked import CONTRACT
from tests.models import tiny
from vidtx.checkpoints import CheckpointStore

SCHEMES = ("space", "joint", "divided", "sparse_local_global", "axial")

_WITHOUT_VIDTX = """
import importlib.abc, importlib.util, json, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("vidtx", "data_pipelines", "flax", "orbax", "optax"):
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Refuse())

def load(folder):
    spec = importlib.util.spec_from_file_location("run", f"{folder}/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""


def checkpoint(folder, scheme="divided", *, change=lambda params: params, **contract):
    """A checkpoint with the weights of `tests.models.tiny`; ``contract`` has _ for the dot."""
    facts = CONTRACT | {"model.scheme": scheme}
    facts |= {name.replace("_", ".", 1): value for name, value in contract.items()}
    params = jax.tree.map(jnp.asarray, change(tiny.weights(scheme)))
    with CheckpointStore(folder, contract=facts) as store:
        store.save(0, {"step": jnp.zeros((), jnp.int32), "params": params})
    return folder


def run_without_vidtx(program, *arguments, python=sys.executable):
    """What a program prints as JSON where vidtx and flax cannot be imported.

    It has ``load(folder)``, which gives the module ``run`` of an exported folder, and
    ``sys.argv[1:]``.
    """
    text = _WITHOUT_VIDTX + textwrap.dedent(program)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [python, "-P", "-c", text, *map(str, arguments)],
        env=environment, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-4000:]
    return json.loads(process.stdout)
