"""``python -m tests.contracts.on_a_slice RESULT TOPOLOGY CASE …``: steps for TPUs, as JSON.

A case is a scheme, and options of the config after it: ``divided,train.accumulate=2``.
"""

import json
import pathlib
import sys

import jax

from vidtx.analysis import count_parameters
from vidtx.analysis.topology import read_topology
from vidtx.config import change, load_config, resolve
from vidtx.run.compile import compile_step, problems_on
from vidtx.run.setup import model_of

# One layer deep, and as small as a real step can be.
TINY = {
    "model.embed_dim": 64,
    "model.num_heads": 2,
    "model.depth": 1,
    "model.drop_path": 0.0,
    "data.frames": 2,
    "data.image_size": "(32,32)",
    "data.flip": False,
    "train.global_batch": 8,
}


def compiled(topology, case, tiny):
    """The report, with the number of parameters."""
    scheme, *options = case.split(",")
    config = load_config("k400_divided")
    values = {"model.scheme": scheme, "model.dtype": "bfloat16"} | (TINY if tiny else {})
    values |= dict(option.split("=") for option in options)
    change(config, [f"--config.{name}={value}" for name, value in values.items()])
    spec = resolve(config, problems_on(topology.devices()))
    parameters = count_parameters(model_of(spec, 400))["total"]
    return compile_step(spec, topology).to_dict() | {"parameters": parameters}


def main():
    jax.config.update("jax_platforms", "cpu")
    result, topology, *cases = sys.argv[1:]
    size, _, topology = topology.rpartition("/")
    found = {case: compiled(read_topology(topology), case, tiny=size != "base") for case in cases}
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
