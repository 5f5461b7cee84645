"""``python -m tests.analysis.cures_on_eight RESULT``: what is offered where a step does not fit."""

import json
import pathlib
import re
import sys

import jax

from tests.contracts.on_a_slice import TINY
from vidtx.analysis.topology import read_topology
from vidtx.config import change, load_config, resolve
from vidtx.errors import ConfigError
from vidtx.run.compile import problems_on
from vidtx.run.cures import explain_lack
from vidtx.run.programs import Programs
from vidtx.sharding import bytes_per_device, make_mesh

# By name: devices, mode, what there is, in percent of what is needed, and options.
CASES = {
    "in four parts": (1, "train", 70, {"train.accumulate": 4}),
    "in single clips": (1, "train", 70, {"train.accumulate": 8}),
    "in pairs": (2, "train", 70, {"train.accumulate": 2}),
    "mixed": (1, "train", 70, {"train.mixup": 0.8}),
    "shared by two": (8, "train", 60, {"mesh.sequence": 2, "train.global_batch": 4}),
    "shared by two, less room": (8, "train", 30, {"mesh.sequence": 2, "train.global_batch": 4}),
    "state in four": (8, "train", 60, {"mesh.fsdp": 4}),
    "state in eight": (8, "train", 60, {"mesh.fsdp": 8}),
    "all that is left is shared": (8, "train", 60, {"mesh.data": 4, "mesh.sequence": -1,
                                                    "train.global_batch": 4}),
    "much state": (8, "train", 70, {"mesh.fsdp": 2}),
    "judged": (4, "eval", 70, {"eval.global_batch": 16}),
    "judged one by one": (4, "eval", 60, {"eval.global_batch": 4}),
}  # fmt: skip


def spec_of(options, devices):
    config = load_config("k400_divided")
    values = TINY | {"data.frames": 8, "train.mixup": 0.0, "train.cutmix": 0.0} | options
    change(config, [f"--config.{name}={value}" for name, value in values.items()])
    return resolve(config, problems_on(devices))


def refused(cure, options, count):
    """Why a run with the options of a cure would be refused, or None."""
    more = re.match(r"(\d+) times as many chips", cure)
    count *= int(more[1]) if more else 1
    changes = dict(re.findall(r"(\w+\.\w+)=([\w-]+)", cure.split(":")[0]))
    try:
        spec_of(options | changes, jax.devices()[:count])
    except ConfigError as error:
        return str(error)
    return None


def main():
    found = {}
    for name, (count, mode, limit, options) in CASES.items():
        devices = jax.devices()[:count]
        spec = spec_of(options, devices)
        programs = Programs.of(spec, make_mesh(spec.mesh, devices), 400)
        needed = 100e9
        if name == "much state":
            # The rest is a tenth of it.
            needed = 1.1 * sum(map(bytes_per_device, (programs.abstract, programs.abstract.params)))
        limit = limit / 100 * needed
        topology = read_topology("v5e:2x4")
        message = str(explain_lack(programs, topology, mode, needed, limit, "full"))
        cures = re.findall(r"^  - (.*)$", message, re.MULTILINE)
        found[name] = [message, {cure: refused(cure, options, count) for cure in cures}]
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
