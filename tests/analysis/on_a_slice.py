"""``python -m tests.analysis.on_a_slice RESULT``: small programs, compiled for TPUs, as JSON."""

import functools
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel,
    splash_attention_mask,
)
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vidtx.analysis.topology import EXAMPLES, read_topology

P = PartitionSpec


def product(left, right):
    return left @ right


def add_one(array):
    return array + 1


def repeated(left, right):
    return jax.lax.scan(lambda carry, _: (carry @ right, None), left, None, length=7)[0]


def doubly_repeated(left, right):
    inner = lambda carry, _: (jnp.tanh(carry @ right), None)  # noqa: E731
    outer = lambda carry, _: (jax.lax.scan(inner, carry, None, length=5)[0], None)  # noqa: E731
    return jax.lax.scan(outer, left, None, length=3)[0]


def of_layers(start, layers):
    """As scanned layers do: each trip reads its own part of a stacked array."""
    return jax.lax.scan(lambda carry, layer: (jnp.tanh(carry @ layer), None), start, layers)[0]


def until_small(array):
    return jax.lax.while_loop(lambda x: jnp.max(x) > 1, lambda x: x * 0.5, array)


def in_groups(query, key):
    return jnp.einsum("gqd,gkd->gqk", query, key)


def attention(query, key, value):
    length = query.shape[1]
    mask = splash_attention_mask.FullMask((length, length))
    kernel = splash_attention_kernel.make_splash_mha_single_device(
        splash_attention_mask.MultiHeadMask([mask] * len(query))
    )

    def loss(query, key, value):
        return kernel(query, key, value).astype(jnp.float32).sum()

    return jax.grad(loss, argnums=(0, 1, 2))(query, key, value)


def spread(function, mesh, taken, returned):
    return jax.shard_map(function, mesh=mesh, in_specs=taken, out_specs=returned, check_vma=False)


def alone(devices):
    """Programs of one device, by name: function and arguments."""
    place = jax.sharding.SingleDeviceSharding(devices[0])

    def array(*shape, dtype=jnp.bfloat16):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=place)

    square = array(512, 512)
    heads = array(2, 512, 128)
    return {
        "product": (product, array(256, 512), array(512, 128)),
        "add_one": (add_one, array(100, 100, dtype=jnp.float32)),
        "repeated": (repeated, square, square),
        "doubly_repeated": (doubly_repeated, square, square),
        "of_layers": (of_layers, array(2048, 2048), array(12, 2048, 2048)),
        "until_small": (until_small, square),
        "in_groups": (in_groups, array(24, 64, 32), array(24, 64, 32)),
        "attention": (attention, heads, heads, heads),
    }


def together(devices):
    """The same of four devices that communicate."""
    grid = np.array(devices).reshape(2, 2)
    mesh = Mesh(grid, ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    both = ("a", "b")

    def array(spec, *shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))

    def exchange(x):
        return jax.lax.all_to_all(x, both, 1, 0, tiled=True)

    def shift(x):
        return jax.lax.ppermute(x, "a", [(0, 1), (1, 0)])

    psum = functools.partial(jax.lax.psum, axis_name=both)
    psum_b = functools.partial(jax.lax.psum, axis_name="b")
    gather = functools.partial(jax.lax.all_gather, axis_name="a", tiled=True)
    scatter = functools.partial(jax.lax.psum_scatter, axis_name=both, tiled=True)

    def scatter_two(x):  # which have one channel
        return scatter(jnp.sin(x)), scatter(jnp.cos(x))

    rows = array(P(both), 1024, 128)
    return {
        "psum": (spread(psum, mesh, P(both), P()), rows),
        "psum_of_two": (spread(psum_b, mesh, P(both), P("a")), rows),
        "gather": (spread(gather, mesh, P("a"), P()), array(P("a"), 1024, 128)),
        "scatter": (spread(scatter, mesh, P(), P(both)), array(P(), 1024, 128)),
        "scatter_two": (
            spread(scatter_two, mesh, P(), (P(both), P(both))),
            array(P(), 1024, 128),
        ),
        "exchange": (spread(exchange, mesh, P(both), P(None, both)), array(P(both), 1024, 1024)),
        "shift": (spread(shift, mesh, P("a"), P("a")), array(P("a"), 1024, 128)),
    }


def compiled(function, *arguments):
    program = jax.jit(function).lower(*arguments).compile()
    return {
        "text": program.as_text(),
        "argument_bytes": program.memory_analysis().argument_size_in_bytes,
        "flops": program.cost_analysis().get("flops", 0.0),
        "bytes": program.cost_analysis().get("bytes accessed", 0.0),
    }


def topologies():
    """By name: platform, kind and number of devices, and of slices."""
    found = {}
    for text in (f"{chip}:{grid}" for chip, grids in EXAMPLES.items() for grid in grids[:3]):
        for slices in (1, 2):
            devices = read_topology(text, slices).devices()
            indices = {getattr(device, "slice_index", 0) for device in devices}
            kinds = {(device.platform, device.device_kind) for device in devices}
            found[f"{text},{slices}"] = [*kinds.pop(), len(devices), len(indices)]
    return found


def main():
    jax.config.update("jax_enable_compilation_cache", False)
    devices = read_topology("v5e:2x2").devices()
    programs = alone(devices) | together(devices)
    result = {"programs": {name: compiled(*one) for name, one in programs.items()}}
    result["topologies"] = topologies()
    pathlib.Path(sys.argv[1]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
