"""How often each computation of a compiled program runs: loops multiplied out.

XLA's own cost analysis counts the body of a loop once, whatever its trip count; scanned layers and
accumulated batches would look as if they cost one of their parts.
"""

import dataclasses
import re

from vidtx.analysis.hlo import Computation, Instruction, Program

_KNOWN = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_COPIES = ("copy", "bitcast", "convert")


@dataclasses.dataclass(frozen=True)
class Loop:
    """One loop.

    Attributes:
      body: name of the computation that is repeated.
      trips: how often it runs each time that the loop is come to; None if the text does not say.
    """

    body: str
    trips: int | None


@dataclasses.dataclass(frozen=True)
class Executions:
    """What runs how often in one call of a program.

    Attributes:
      times: of each computation that runs by itself, that is all but those inside fusions and
        reductions. A loop whose count is not known counts once.
      loops: all loops that are come to.
      beside: those that run beside what comes after the instruction that starts them.
    """

    times: dict[str, int]
    loops: tuple[Loop, ...]
    beside: frozenset[str]


def count_executions(program: Program) -> Executions:
    """How often each computation runs.

    Of a branch that is taken or not, each side counts as taken.

    Args:
      program: from `read_program`.
    """
    times: dict[str, int] = {}
    loops: list[Loop] = []
    beside: set[str] = set()

    def run(name: str, count: int) -> None:
        times[name] = times.get(name, 0) + count
        computation = program.computations[name]
        for one in computation.instructions.values():
            if one.opcode == "while":
                body, trips = one.attribute("body").lstrip("%"), _trips(program, computation, one)
                loops.append(Loop(body, trips))
                run(body, count * (1 if trips is None else trips))
            elif one.opcode in ("call", "call-start", "async-start"):
                run(one.called, count)
                if one.opcode != "call":
                    beside.add(one.called)
            elif one.opcode == "conditional":
                branches = one.attribute("branch_computations") or ""
                sides = (one.attribute("true_computation"), one.attribute("false_computation"))
                for side in filter(None, [*branches.strip("{}").split(","), *sides]):
                    run(side.strip().lstrip("%"), count)

    run(program.entry, 1)
    return Executions(times, tuple(loops), frozenset(beside))


def _trips(program: Program, outside: Computation, loop: Instruction) -> int | None:
    """Trips of a loop that counts a number up or down to a bound, or as the compiler noted."""
    known = _KNOWN.search(loop.attributes)
    if known:
        return int(known[1])
    condition = program.computations[loop.attribute("condition").lstrip("%")]
    body = program.computations[loop.attribute("body").lstrip("%")]
    (start,) = loop.operands
    carried = outside.instructions[start]
    firsts = carried.operands if carried.opcode == "tuple" else ()

    def first(index: int) -> int | None:
        return _constant(outside, firsts[index]) if index < len(firsts) else None

    test = _behind_fusion(program, condition, condition.instructions[condition.root])
    if test is None or test[0].opcode != "compare":
        return None
    compare, (left, right) = test
    counter, bound = _element(condition, left), _constant(condition, right)
    if bound is None:
        index = _element(condition, right)
        unchanged = index is not None and _element(body, _results(body)[index]) == index
        bound = first(index) if unchanged else None
    if counter is None or bound is None:
        return None
    begin, step = first(counter), _step(program, body, counter)
    if begin is None or not step:
        return None
    distance = (bound - begin) * (1 if step > 0 else -1)
    direction = compare.attribute("direction")
    if direction in ("LE", "GE"):
        distance += 1
    elif direction not in ("LT", "GT"):
        return None
    return max(0, -(-distance // abs(step)))


def _behind_fusion(
    program: Program, computation: Computation, one: Instruction
) -> tuple[Instruction, list[str]] | None:
    """An instruction of two operands, also of a fusion, and these as they are named outside."""
    if one.opcode != "fusion":
        return (one, list(one.operands)) if len(one.operands) == 2 else None
    inside = program.computations[one.called]
    root = inside.instructions[inside.root]
    numbers = {parameter.name: number for number, parameter in inside.parameters.items()}
    if len(root.operands) != 2 or not all(name in numbers for name in root.operands):
        return None
    return root, [one.operands[numbers[name]] for name in root.operands]


def _step(program: Program, body: Computation, index: int) -> int | None:
    """What a trip adds to an element of what the loop carries."""
    found = _behind_fusion(program, body, body.instructions[_results(body)[index]])
    if found is None or found[0].opcode not in ("add", "subtract"):
        return None
    one, (left, right) = found
    if _element(body, right) == index and one.opcode == "add":
        left, right = right, left
    amount = _constant(body, right)
    if _element(body, left) != index or amount is None:
        return None
    return amount if one.opcode == "add" else -amount


def _results(body: Computation) -> tuple[str, ...]:
    """Names of what a body carries on."""
    return body.instructions[body.root].operands


def _element(computation: Computation, name: str) -> int | None:
    """Which element of its only parameter an instruction is, or None."""
    one = _source(computation, name)
    if one.opcode != "get-tuple-element":
        return None
    whole = computation.instructions[one.operands[0]]
    return int(one.attribute("index")) if whole.opcode == "parameter" else None


def _constant(computation: Computation, name: str) -> int | None:
    """The whole number that an instruction is, or None."""
    one = _source(computation, name)
    digits = one.arguments.lstrip("-")
    return int(one.arguments) if one.opcode == "constant" and digits.isdigit() else None


def _source(computation: Computation, name: str) -> Instruction:
    one = computation.instructions[name]
    while one.opcode in _COPIES and one.operands:
        one = computation.instructions[one.operands[0]]
    return one
