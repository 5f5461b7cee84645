"""How one of our arrays lies in the files of others; each form reads and writes, exactly.

None of them computes: axes change places, arrays are put side by side or taken apart, so that
reading what was written gives the same bits.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

Arrays = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Form:
    """A way to store one array.

    Attributes:
      how: what is done to read it, in a few words; nothing where it is taken as it is.
      read: their arrays, in the order of a row, to ours. Ours may share memory with theirs.
      write: ours and the number of heads to theirs, which share its memory where they can.
      per_head: whether ``write`` needs the number of heads.
      resized: whether ``read`` leaves something out.
    """

    how: str
    read: Callable[..., np.ndarray]
    write: Callable[[np.ndarray, int | None], Arrays]
    per_head: bool = False
    resized: bool = False

    def shapes(self, ours: tuple[int, ...], num_heads: int | None) -> tuple[tuple[int, ...], ...]:
        """Shapes of their arrays for the shape of ours; nothing of that size is allocated."""
        array = np.broadcast_to(np.float32(0), ours)
        return tuple(theirs.shape for theirs in self.write(array, num_heads))


def _beside(*theirs: np.ndarray) -> np.ndarray:
    return np.concatenate([array.T for array in theirs], axis=-1)


def _in_three(ours: np.ndarray, _: int | None) -> Arrays:
    return tuple(part.T for part in np.split(ours, 3, axis=-1))


def _heads_beside(*theirs: np.ndarray) -> np.ndarray:
    flat = [array.reshape(*array.shape[:-2], array.shape[-2] * array.shape[-1]) for array in theirs]
    return np.concatenate(flat, axis=-1)


def _in_heads(ours: np.ndarray, num_heads: int | None) -> Arrays:
    parts = np.split(ours, 3, axis=-1)
    return tuple(
        part.reshape(*part.shape[:-1], num_heads, part.shape[-1] // num_heads) for part in parts
    )


def _out_in_heads(ours: np.ndarray, num_heads: int | None) -> Arrays:
    return (ours.reshape(num_heads, ours.shape[0] // num_heads, ours.shape[1]),)


def _with_second_row(ours: np.ndarray, _: int | None) -> Arrays:
    return (np.insert(ours, 1, 0.0, axis=1),)


SAME = Form("", lambda theirs: theirs, lambda ours, _: (ours,))

# PyTorch's Linear keeps [out, in]; ours is [in, out]. A fused query, key and value has them in this
# order on both sides, each head-major.
LINEAR = Form("transposed", lambda theirs: theirs.T, lambda ours, _: (ours.T,))

# PyTorch's Conv2d keeps [out, in, height, width]; ours is [height, width, in, out].
CONV = Form(
    "axes reordered",
    lambda theirs: theirs.transpose(2, 3, 1, 0),
    lambda ours, _: (ours.transpose(3, 2, 0, 1),),
)

# Three of PyTorch's Linears, weights or biases, as our fused layer.
QKV = Form("query, key and value fused", _beside, _in_three)

# Google's layers keep heads apart: [D, A, D/A] and, at the end, [A, D/A, D].
HEADS_QKV = Form("query, key and value fused", _heads_beside, _in_heads, per_head=True)
HEADS_OUT = Form(
    "heads joined",
    lambda theirs: theirs.reshape(theirs.shape[0] * theirs.shape[1], theirs.shape[2]),
    _out_in_heads,
    per_head=True,
)

# Rows 0 and 1 are of the class and distillation tokens; written, the second is zero.
UNDISTILLED = Form(
    "the position of the distillation token left out",
    lambda theirs: np.delete(theirs, 1, axis=1),
    _with_second_row,
    resized=True,
)
