"""Bytes that a compiled program moves, instruction by instruction, from its text.

A model: what an instruction takes and returns is read and written once, whole tiles at a time, if
it lies in main memory (HBM). What the compiler keeps in vector memory costs nothing there; the
asynchronous copies that bring it in or take it out are one pass each. XLA's own ``bytes accessed``
counts vector memory too, and so overstates HBM traffic several times over.
"""

from vidtx.analysis.hlo import Computation, Instruction, Program, Shape

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)

# They move nothing: names for what is there, and what runs computations that are counted by
# themselves.
_NAMES = frozenset(
    (
        "add-dependency", "after-all", "bitcast", "call", "conditional", "constant",
        "get-tuple-element", "opt-barrier", "parameter", "partition-id", "replica-id", "tuple",
        "while",
    )
)  # fmt: skip
# Bookkeeping of the compiler.
_TARGETS = (
    '"AllocateBuffer"',
    '"AssumeGatherIndicesInBound"',
    '"AsyncCollectiveDone"',
    '"AsyncCollectiveStart"',
    '"ConcatBitcast"',
    '"GatherScatterIndicesBitpacked"',
    '"Sharding"',
)
_SLICES = ("dynamic-slice", "gather", "slice")


class Traffic:
    """Counts bytes of a program's instructions.

    Args:
      program: from `read_program`.
      space: the memory space that counts; None for all of them.
    """

    def __init__(self, program: Program, space: int | None = 0):
        self._program, self._space = program, space

    def of(self, computation: Computation, one: Instruction) -> int:
        """Bytes that one instruction reads and writes; of a loop or call, none of its own.

        Those of a collective that runs within fusions are none here; see `of_collective`.
        """
        if one.opcode in _NAMES or one.opcode.endswith(("-done", "-update")):
            return 0
        if one.opcode == "custom-call" and one.attribute("custom_call_target") in _TARGETS:
            return 0
        if one.opcode.removesuffix("-start") in COLLECTIVES:
            return 0
        if one.opcode.endswith("-start"):
            return self._move(one)
        operands = [computation.instructions[name].shapes for name in one.operands]
        if one.opcode == "fusion":
            return self._fusion(one, operands)
        if one.opcode in _SLICES:
            return 2 * self._bytes(one.shapes[0], where=operands[0][0])
        if one.opcode == "dynamic-update-slice":
            return 2 * self._bytes(operands[1][0], where=operands[0][0])
        taken = sum(self._bytes(shape) for shapes in operands for shape in shapes)
        return taken + sum(map(self._bytes, one.shapes))

    def of_collective(self, computation: Computation, one: Instruction) -> int:
        """Bytes that a collective takes from and returns to this device's own memory."""
        taken = sum(
            self._bytes(shape)
            for name in one.operands
            for shape in computation.instructions[name].shapes
        )
        return taken + sum(map(self._bytes, one.shapes))

    def _move(self, one: Instruction) -> int:
        """An asynchronous copy or slice: as many bytes as arrive, on either side that counts."""
        if one.opcode not in ("copy-start", "slice-start") or len(one.shapes) < 2:
            return 0
        first, second = one.shapes[:2]
        arrives, leaves = (first, second) if one.opcode == "copy-start" else (second, first)
        return sum(self._bytes(arrives, where=side) for side in (arrives, leaves))

    def _fusion(self, one: Instruction, operands: list[tuple[Shape, ...]]) -> int:
        inside = self._program.computations[one.called]
        total = 0
        for number, shapes in enumerate(operands):
            whole = sum(map(self._bytes, shapes))
            if whole:
                part, _ = self._read(inside, inside.parameters[number].name, shapes[0])
                total += min(whole, part)
        for name, shape in zip(_results(inside), one.shapes, strict=False):
            if self._bytes(shape):
                total += min(self._bytes(shape), self._written(inside, name, shape))
        return total

    def _read(self, inside: Computation, name: str, shape: Shape) -> tuple[int, bool]:
        """Bytes of an operand that a fused computation reads, and whether it hands it on whole."""
        total, is_result = 0, name == inside.root
        for user in inside.users[name]:
            if user.opcode in _SLICES and user.operands[0] == name:
                total += self._bytes(user.shapes[0], where=shape)
            elif user.opcode == "bitcast":
                part, escapes = self._read(inside, user.name, shape)
                total, is_result = total + part, is_result or escapes
            elif user.opcode == "fusion":
                part, escapes = self._read_nested(user, name, shape)
                if escapes:
                    further, escapes = self._read(inside, user.name, shape)
                    part += further
                total, is_result = total + part, is_result or escapes
            elif not _passes_on(user, name):
                total += self._bytes(shape)
        return total, is_result

    def _read_nested(self, one: Instruction, name: str, shape: Shape) -> tuple[int, bool]:
        """The same of a fusion within a fusion."""
        nested = self._program.computations[one.called]
        found = [
            self._read(nested, nested.parameters[number].name, shape)
            for number, operand in enumerate(one.operands)
            if operand == name
        ]
        return sum(part for part, _ in found), any(escapes for _, escapes in found)

    def _written(self, inside: Computation, name: str, shape: Shape) -> int:
        """Bytes of a result that a fused computation writes."""
        one = inside.instructions[name]
        if one.opcode == "bitcast":
            return self._written(inside, one.operands[0], shape)
        if one.opcode == "dynamic-update-slice":
            # In place: the rest of the array stays where it is.
            return self._bytes(inside.instructions[one.operands[1]].shapes[0], where=shape)
        if one.opcode == "fusion":
            nested = self._program.computations[one.called]
            root = nested.instructions[nested.root]
            while root.opcode == "bitcast":
                root = nested.instructions[root.operands[0]]
            if root.opcode == "parameter":
                return self._written(inside, one.operands[int(root.arguments)], shape)
            return self._written(nested, root.name, shape)
        if one.opcode == "parameter" or _is_communication(one):
            return 0
        return self._bytes(shape)

    def _bytes(self, shape: Shape, where: Shape | None = None) -> int:
        """Of an array in the memory that counts; ``where``: as if it lay where this one does."""
        counts = self._space is None or (where or shape).space == self._space
        return shape.padded_bytes if counts else 0


def _passes_on(user: Instruction, name: str) -> bool:
    """Whether an instruction leaves alone what it is given."""
    in_place = user.opcode == "dynamic-update-slice" and name not in user.operands[1:]
    return in_place or user.opcode == "tuple" or _is_communication(user)


def _is_communication(one: Instruction) -> bool:
    bookkeeping = one.opcode == "custom-call" and one.attribute("custom_call_target") in _TARGETS
    return bookkeeping or one.opcode.removesuffix("-start") in COLLECTIVES


def _results(inside: Computation) -> tuple[str, ...]:
    """Names of what a computation returns, one for each array."""
    root = inside.instructions[inside.root]
    return root.operands if root.opcode == "tuple" else (root.name,)
