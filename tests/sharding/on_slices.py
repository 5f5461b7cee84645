"""``python -m tests.sharding.on_slices RESULT``: meshes of TPUs that are not there, with libtpu."""

import collections
import json
import os
import pathlib
import sys

# What libtpu would ask a machine of a TPU for.
os.environ |= {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}

import numpy as np
from jax.experimental import topologies

from tests.sharding.meshes import factors, mesh_of, named
from vidtx.errors import ConfigError
from vidtx.sharding import AXES, batch_parts, rows_of_process

# By name: the topology, its slices, and meshes of it.
SLICES = {
    "v5e:4x4": (2, ((8, 4, 1, 1), (2, 4, 2, 2), (4, 1, 8, 1), (-1, 2, 1, 2))),
    "v5p:2x2x4": (2, ((2, 4, 2, 2), (4, 2, 4, 1))),
}
REFUSED = ((1, 32, 1, 1), (1, -1, 4, 2), (3, -1, 1, 1))


def slices_along(mesh):
    """By axis, whether its neighbours are always of one slice."""
    numbers = np.vectorize(lambda device: device.slice_index)(mesh.devices)
    return {
        axis: bool((numbers == numbers.take([0], axis=place)).all())
        for place, axis in enumerate(AXES)
    }


def made(mesh, devices):
    first = mesh.devices[: mesh.shape["data"] // 2]
    return {
        "shape": list(mesh.shape.values()),
        "all": {device.id for device in mesh.devices.flat} == {device.id for device in devices},
        "in_slice": slices_along(mesh),
        "halves": len({device.slice_index for device in first.flat}),
    }


def rows(mesh):
    """Whether each process's rows are those of its devices, and how often each part is read."""
    parts = collections.Counter()
    right, most = True, 0
    by_part = mesh.devices.reshape(batch_parts(mesh), -1)
    for process in {device.process_index for device in mesh.devices.flat}:
        blocks, count = rows_of_process(mesh, process)
        width = len(by_part) // count
        read = {block * width + place for block in blocks for place in range(width)}
        here = {
            part for part, devices in enumerate(by_part)
            if process in {device.process_index for device in devices}
        }  # fmt: skip
        right &= read == here and list(blocks) == sorted(blocks)
        parts.update(read)
        most = max(most, len(blocks))
    return {"right": right, "blocks": most, "all": len(parts) == batch_parts(mesh)}


def main():
    found = {"made": {}, "refused": {}, "rows": {}}
    for name, (count, meshes) in SLICES.items():
        devices = topologies.get_topology_desc(
            platform="tpu", topology_name=name, num_slices=count
        ).devices
        for lengths in meshes:
            mesh = mesh_of(*lengths, devices=devices)
            found["made"][f"{name} {named(lengths)}"] = made(mesh, devices)
        for lengths in REFUSED:
            try:
                mesh_of(*lengths, devices=devices)
            except ConfigError as error:
                found["refused"][f"{name} {named(lengths)}"] = str(error)
    # Every shape of a pod that several hosts drive, four chips each.
    for name in ("v5e:4x4", "v6e:4x4", "v5p:2x2x4"):
        devices = topologies.get_topology_desc(platform="tpu", topology_name=name).devices
        for lengths in factors(len(devices)):
            found["rows"][f"{name} {named(lengths)}"] = rows(mesh_of(*lengths, devices=devices))
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
