"""FLOPs of the matrix products in a compiled program, from its text."""

import functools
import re

import numpy as np

from vidtx.analysis.hlo import Computation, Instruction, Program

_WINDOW = re.compile(r"(\w+)=([\d_x\-]+)")


def product_flops(program: Program, computation: Computation, one: Instruction) -> int:
    """FLOPs of an instruction that is a product or a fusion with products in it, else 0.

    A multiply-add counts as two. Where a window reaches over the edge, as in the convolutions by
    which TPUs express batched products, only what meets data counts: the count of XLA's
    ``HloCostAnalysis``. Element-wise arithmetic is left out.

    Args:
      program: from `read_program`.
      computation: that the instruction stands in.
      one: the instruction.
    """
    if one.opcode == "fusion":
        inside = program.computations[one.called]
        return sum(product_flops(program, inside, each) for each in inside.instructions.values())
    if one.opcode == "dot":
        return _dot(computation, one)
    return _convolution(computation, one) if one.opcode == "convolution" else 0


def _dot(computation: Computation, one: Instruction) -> int:
    (result,) = one.shapes
    (left,) = computation.instructions[one.operands[0]].shapes
    axes = (one.attribute("lhs_contracting_dims") or "{}").strip("{}")
    contracted = [left.dims[int(axis)] for axis in axes.split(",") if axis]
    return 2 * int(np.prod([*result.dims, *contracted], dtype=np.int64))


def _convolution(computation: Computation, one: Instruction) -> int:
    (result,) = one.shapes
    left, right = (computation.instructions[name].shapes[0].dims for name in one.operands[:2])
    labels = one.attribute("dim_labels").strip()
    of_left, rest = labels.split("_")
    of_right, of_result = rest.split("->")
    window = dict(_WINDOW.findall(one.attribute("window") or ""))
    axes = [label for label in of_result if label.isdigit()]
    flops = 2 * right[of_right.index("i")]
    flops *= result.dims[of_result.index("b")] * result.dims[of_result.index("f")]
    for axis in axes:
        low = _of_axis(window, "pad", int(axis), "0_0").partition("_")[0]
        flops *= _meetings(
            left[of_left.index(axis)],
            right[of_right.index(axis)],
            result.dims[of_result.index(axis)],
            int(low),
            *(int(_of_axis(window, name, int(axis), "1")) for name in _STEPS),
        )
    return flops


_STEPS = ("stride", "lhs_dilate", "rhs_dilate")


def _of_axis(window: dict[str, str], name: str, axis: int, default: str) -> str:
    return window[name].split("x")[axis] if name in window else default


@functools.lru_cache(maxsize=10_000)
def _meetings(
    length: int, kernel: int, results: int, pad: int, stride: int, spread: int, kernel_spread: int
) -> int:
    """Pairs of a result and a kernel element along one axis that meet an element of the data."""
    total = 0
    starts = np.arange(results, dtype=np.int64) * stride - pad
    for element in range(kernel):
        place = starts + element * kernel_spread
        total += int(((place >= 0) & (place < length * spread) & (place % spread == 0)).sum())
    return total
