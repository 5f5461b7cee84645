"""Reading the text of a compiled program (HLO): its computations, instructions and shapes.

Only what cost models need is understood; all else stays text. The text is that of
`jax.stages.Compiled.as_text`, scheduled and laid out, for a TPU or any other device.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterable, Iterator

# Bits of an element; ``token`` and other types that hold nothing are left out.
_BITS = {
    "pred": 8, "s2": 2, "u2": 2, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16,
    "f16": 16, "bf16": 16, "s32": 32, "u32": 32, "f32": 32, "s64": 64, "u64": 64, "f64": 64,
    "c64": 64, "c128": 128, "f8e5m2": 8, "f8e4m3fn": 8, "f8e4m3b11fnuz": 8,
}  # fmt: skip

_SHAPE = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_HEAD = re.compile(r"(ENTRY )?%([^ (]+) \(")
_INSTRUCTION = re.compile(r"  (ROOT )?%(\S+) = ")
_OPCODE = re.compile(r" ?([\w\-]+)\(")
_NAME = re.compile(r"%([^\s,(){}]+)")
_SPACE = re.compile(r"S\((\d+)\)")
_TILE = re.compile(r"T\(([\d,*]+)\)")


@dataclasses.dataclass(frozen=True)
class Shape:
    """One array of a program.

    Attributes:
      dtype: as HLO has it, such as ``bf16``.
      dims: its lengths.
      minor_to_major: the dimensions in the order of memory, the fastest first.
      tile: lengths of the outer tile, the last along the fastest dimension; empty for none.
      space: memory space; 0 is the chip's main memory (HBM), 1 a TPU's vector memory (VMEM).
    """

    dtype: str
    dims: tuple[int, ...]
    minor_to_major: tuple[int, ...]
    tile: tuple[int, ...]
    space: int

    @property
    def bytes(self) -> int:
        """Bytes of the elements alone."""
        return math.prod(self.dims) * _BITS.get(self.dtype, 0) // 8

    @property
    def padded_bytes(self) -> int:
        """Bytes in memory, where whole tiles are stored."""
        lengths = [self.dims[axis] for axis in self.minor_to_major]
        lengths += [1] * (len(self.tile) - len(lengths))
        for place, step in enumerate(reversed(self.tile)):
            lengths[place] = -(-lengths[place] // step) * step
        return math.prod(lengths) * _BITS.get(self.dtype, 0) // 8


@functools.lru_cache(maxsize=100_000)
def read_shapes(text: str) -> tuple[Shape, ...]:
    """The arrays of a type's text, such as ``(f32[2]{0:T(128)}, u32[])``, nested tuples flattened.

    Args:
      text: of a type, or any text that has types in it.
    """
    shapes = []
    for dtype, dims, layout in _SHAPE.findall(text):
        lengths = tuple(int(length.lstrip("<=")) for length in dims.split(",") if length)
        order, _, rest = layout.partition(":")
        axes = tuple(int(axis) for axis in order.split(",") if axis)
        tile, space = _TILE.search(rest), _SPACE.search(rest)
        shapes.append(
            Shape(
                dtype=dtype,
                dims=lengths,
                minor_to_major=axes or tuple(reversed(range(len(lengths)))),
                tile=() if tile is None else tuple(int(n) for n in tile[1].split(",") if n != "*"),
                space=0 if space is None else int(space[1]),
            )
        )
    return tuple(shapes)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
      name: unique in its computation.
      opcode: such as ``fusion``.
      type: text of what it returns.
      operands: names of instructions of the same computation.
      arguments: text between the parentheses; a constant's value.
      attributes: all text after them.
    """

    name: str
    opcode: str
    type: str
    operands: tuple[str, ...]
    arguments: str
    attributes: str

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What it returns; several arrays for a tuple."""
        return read_shapes(self.type)

    def attribute(self, name: str) -> str | None:
        """The text of ``name=…`` up to a comma outside braces, or None."""
        found = re.search(rf"(?:^|[ ,]){name}=", self.attributes)
        if found is None:
            return None
        return self.attributes[found.end() : _end(self.attributes, found.end(), ",")]

    @property
    def called(self) -> str | None:
        """The computation that it runs as its own: of a fusion, a call, an asynchronous start."""
        name = self.attribute("calls") or self.attribute("to_apply")
        return None if name is None else name.strip().lstrip("%")


@dataclasses.dataclass(frozen=True)
class Computation:
    """One computation.

    Attributes:
      name: unique in its program.
      instructions: by name, in order.
      root: name of the instruction that is its result.
    """

    name: str
    instructions: dict[str, Instruction]
    root: str

    @functools.cached_property
    def parameters(self) -> dict[int, Instruction]:
        """Its parameters by number."""
        return {
            int(one.arguments): one
            for one in self.instructions.values()
            if one.opcode == "parameter"
        }

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """The instructions that take what each instruction returns."""
        found: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for one in self.instructions.values():
            for name in dict.fromkeys(one.operands):
                found[name].append(one)
        return found


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program.

    Attributes:
      computations: by name.
      entry: name of the one that is run.
    """

    computations: dict[str, Computation]
    entry: str


def read_program(text: str) -> Program:
    """Reads a program.

    Args:
      text: of `jax.stages.Compiled.as_text`.

    Raises:
      ValueError: it has no entry computation, so it is no such text.
    """
    computations, entry = {}, None
    name, lines = None, []
    for line in text.splitlines():
        if name is None:
            head = _HEAD.match(line)
            if head and line.endswith("{"):
                name, lines = head[2], []
                entry = name if head[1] else entry
        elif line == "}" or line.startswith("}, execution_thread="):
            computations[name] = _computation(name, lines)
            name = None
        elif _INSTRUCTION.match(line):
            lines.append(line)
        elif lines:  # attributes of a kernel go on over several lines
            lines[-1] += f"\n{line}"
    if entry not in computations:
        raise ValueError(
            "This is no text of a compiled program: no computation is marked ENTRY. Give what "
            "Compiled.as_text() returns."
        )
    return Program(computations, entry)


def _computation(name: str, lines: Iterable[str]) -> Computation:
    instructions, root = {}, ""
    for line in lines:
        is_root, one = _instruction(line)
        instructions[one.name] = one
        root = one.name if is_root or not root else root
    return Computation(name, instructions, root)


def _instruction(line: str) -> tuple[bool, Instruction]:
    head = _INSTRUCTION.match(line)
    start = head.end()
    after = _end(line, start, " ")
    opcode = _OPCODE.match(line, after)
    close = _end(line, opcode.end(), ")")
    arguments = line[opcode.end() : close]
    return bool(head[1]), Instruction(
        name=head[2],
        opcode=opcode[1],
        type=line[start:after],
        operands=tuple(_NAME.findall(arguments)),
        arguments=arguments,
        attributes=line[close + 1 :].lstrip(", "),
    )


def _end(text: str, start: int, stop: str) -> int:
    """Where ``stop`` comes first from ``start`` on, outside brackets and quotes."""
    depth, quoted = 0, False
    for place, character in _marks(text, start):
        if character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif depth == 0 and character == stop:
            return place
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
    return len(text)


_MARK = re.compile(r'\\.|["()\[\]{}, ]')


def _marks(text: str, start: int) -> Iterator[tuple[int, str]]:
    for found in _MARK.finditer(text, start):
        if found[0][0] != "\\":
            yield found.start(), found[0]
