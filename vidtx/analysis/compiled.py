"""What one call of a compiled program costs on each device, from its text: loops multiplied out."""

import dataclasses
import re

from vidtx.analysis.collectives import Collective, describe_collective, find_collectives
from vidtx.analysis.hlo import Computation, Instruction, Program
from vidtx.analysis.loops import count_executions
from vidtx.analysis.products import product_flops
from vidtx.analysis.traffic import COLLECTIVES, Traffic

_CYCLES = re.compile(r'"estimated_cycles":"(-?\d+)"')
_UNKNOWN = 2**62  # libtpu writes 2⁶³ − 1 where it does not know
# What takes time, so that one without an estimate is missed.
_WORK = ("fusion", "convolution", "dot", "custom-call", "copy", "sort", "scatter", "gather")
_KERNEL = '"tpu_custom_call"'


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A Pallas kernel in a program, of whose inside the compiler tells nothing.

    Attributes:
      name: such as ``splash_mha_fwd_residuals``.
      times: how often it runs.
      flops: of its products each time, bfloat16 FLOPs; None for a kernel that is not known here.
    """

    name: str
    times: int
    flops: int | None


@dataclasses.dataclass(frozen=True)
class Costs:
    """Costs of one call of a program on one device.

    Attributes:
      flops: of all products, those of known kernels included.
      hbm_bytes: read from and written to main memory.
      accessed_bytes: the same and what stays in vector memory.
      cycles: the compiler's own estimate of everything but kernels and communication; None if the
        program has no estimates, as on other devices than TPUs.
      without_cycles: instructions that take time but have no estimate, beside those two.
      kernels: Pallas kernels.
      collectives: communication.
      unknown_loops: loops of unknown trip count, which are counted as one trip.
      loops: trip counts of the others.
    """

    flops: int
    hbm_bytes: int
    accessed_bytes: int
    cycles: int | None
    without_cycles: int
    kernels: tuple[Kernel, ...]
    collectives: tuple[Collective, ...]
    unknown_loops: int
    loops: tuple[int, ...]


def count_costs(program: Program, devices: int) -> Costs:
    """Counts the costs of a program.

    Args:
      program: from `read_program`.
      devices: that it runs on.
    """
    executions = count_executions(program)
    hbm, accessed = Traffic(program, space=0), Traffic(program, space=None)
    totals = dict.fromkeys(("flops", "hbm_bytes", "accessed_bytes", "without_cycles"), 0)
    cycles, kernels = None, {}
    for name, times in executions.times.items():
        computation = program.computations[name]
        for one in computation.instructions.values():
            totals["flops"] += times * product_flops(program, computation, one)
            totals["hbm_bytes"] += times * hbm.of(computation, one)
            totals["accessed_bytes"] += times * accessed.of(computation, one)
            found = _CYCLES.search(one.attributes)
            if found and 0 <= int(found[1]) < _UNKNOWN:
                cycles = (cycles or 0) + times * int(found[1])
            elif _is_kernel(one):
                kernel = _kernel(computation, one)
                before = kernels.get(kernel.name, kernel)
                count = times + (before.times if kernel.name in kernels else 0)
                kernels[kernel.name] = dataclasses.replace(before, times=count)
            elif one.opcode in _WORK and not _communicates(program, one):
                totals["without_cycles"] += times * bool(accessed.of(computation, one))
    collectives = find_collectives(program, executions)
    for found in collectives:
        for name, traffic in (("hbm_bytes", hbm), ("accessed_bytes", accessed)):
            moved = traffic.of_collective(found.computation, found.instruction)
            totals[name] += found.times * moved
    totals["flops"] += sum(kernel.times * (kernel.flops or 0) for kernel in kernels.values())
    trips = tuple(loop.trips for loop in executions.loops if loop.trips is not None)
    return Costs(
        cycles=cycles,
        kernels=tuple(kernels.values()),
        collectives=tuple(describe_collective(found, devices) for found in collectives),
        unknown_loops=len(executions.loops) - len(trips),
        loops=trips,
        **totals,
    )


def _is_kernel(one: Instruction) -> bool:
    return one.opcode == "custom-call" and one.attribute("custom_call_target") == _KERNEL


def _communicates(program: Program, one: Instruction) -> bool:
    if one.opcode != "fusion":
        return False
    inside = program.computations[one.called].instructions.values()
    return any(each.opcode in COLLECTIVES for each in inside)


# Products of splash attention's kernels (`jax.experimental.pallas.ops.tpu.splash_attention`), each
# of as many FLOPs as query with key: forward q·k and p·v; backward q·k and do·v again, then dv and
# dk, or dq, or in the fused kernel all three.
_SPLASH = re.compile(r"splash_m[hq]a_(fwd|dkv|dq)")
_PRODUCTS = {"fwd": 2, "dkv": 4, "dq": 3, "fused": 5}


def _kernel(computation: Computation, one: Instruction) -> Kernel:
    name = re.sub(r"\.\d+$", "", one.name)
    found = _SPLASH.match(name)
    operands = [computation.instructions[operand].shapes[0] for operand in one.operands]
    arrays = [shape for shape in operands if len(shape.dims) > 2 and "f" in shape.dtype]
    if found is None or len(arrays) < 2:
        return Kernel(name, 1, None)
    query, key = arrays[0].dims, arrays[1].dims
    lengths, width = (query[-2], key[-2]), query[-1]
    gradients = [
        shape
        for shape in one.shapes
        if len(shape.dims) > 2 and shape.dims[-1] == width and shape.dims[-2] in lengths
    ]
    phase = "fused" if found[1] == "dkv" and len(gradients) > 2 else found[1]
    rows = 1
    for length in query[:-2]:
        rows *= length
    return Kernel(name, 1, 2 * _PRODUCTS[phase] * rows * lengths[0] * lengths[1] * width)
