"""``python -m tests.kernels.on_a_tpu RESULT CASE…``: splash attention compiled for TPUs, as JSON.

``CASE`` is a topology and the numbers of clips, groups, queries, keys, heads and head width, a
dtype, and ``split`` for two backward kernels: ``v5e:1x1,1,2,300,300,2,64,bfloat16``.
"""

import functools
import json
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np

from vidtx.analysis.topology import read_topology
from vidtx.kernels import splash

_KERNEL = re.compile(r"%(splash_\w+?)(?:\.\d+)? = ")


def compiled(topology, *case):
    """Kernels of the forward and backward pass, and bytes of memory between them."""
    (clips, groups, queries, keys, heads, width), (dtype, *split) = map(int, case[:6]), case[6:]
    place = jax.sharding.SingleDeviceSharding(read_topology(topology).devices()[0])
    query, key = (
        jax.ShapeDtypeStruct(
            (clips, groups, length, heads, width), jnp.dtype(dtype), sharding=place
        )
        for length in (queries, keys)
    )
    # The last key of every group is left out, so that kernels with masks are compiled.
    attend = functools.partial(
        splash.attend_groups,
        valid=np.arange(keys)[None].repeat(groups, 0) < keys - 1,
        **({"fused_key_blocks": 0} if split else {}),
    )

    def step(query, key, value, given):
        output, pull = jax.vjp(attend, query, key, value)
        return output, pull(given)

    program = jax.jit(step).lower(query, key, key, query).compile()
    return {
        "kernels": sorted(set(_KERNEL.findall(program.as_text()))),
        "temp_bytes": program.memory_analysis().temp_size_in_bytes,
    }


def main():
    jax.config.update("jax_enable_compilation_cache", False)
    result = {case: compiled(*case.split(",")) for case in sys.argv[2:]}
    pathlib.Path(sys.argv[1]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
