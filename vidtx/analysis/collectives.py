"""Communication between devices in a compiled program, from its text."""

import dataclasses
import math
import re
from collections.abc import Mapping

from vidtx.analysis.hlo import Computation, Instruction, Program
from vidtx.analysis.loops import Executions
from vidtx.analysis.traffic import COLLECTIVES

_AXES = re.compile(r"'([^']+)'=(\d+)")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective of a program.

    Attributes:
      kind: such as ``all-gather``; ``reduce-scatter`` also where the compiler writes it as a fusion
        of a reduction and a slice.
      bytes: of what each device has at the end or, for a reduce-scatter, gives at the beginning:
        the larger side. Elements alone, without padding.
      group: devices that take part together.
      times: how often it runs in a step.
      is_async: whether other work goes on meanwhile.
      source: what it was written for, such as ``block_0/mlp/fc1``; may be empty.
    """

    kind: str
    bytes: int
    group: int
    times: int
    is_async: bool
    source: str

    @property
    def wire_bytes(self) -> float:
        """Bytes that each device sends each time, at the least: as on a ring."""
        share = (self.group - 1) / self.group
        if self.kind == "all-reduce":
            return 2 * share * self.bytes
        return self.bytes * (share if self.kind in _SHARED else float(self.group > 1))


_NAMING = ("get-tuple-element", "bitcast")
_SHARED = ("all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all")


@dataclasses.dataclass(frozen=True)
class Found:
    """A collective where it stands.

    Attributes:
      instruction: the first of those that it is.
      computation: that this stands in.
      times: how often it runs in a step.
      goes_on: whether it stands in several places, and other work between them, or is started and
        ended in two.
    """

    instruction: Instruction
    computation: Computation
    times: int
    goes_on: bool


def find_collectives(program: Program, executions: Executions) -> list[Found]:
    """All collectives that a call of the program runs, each once.

    One that goes on behind other work stands in several fusions: where it starts, along each, and
    where it ends. That it is one is told by its channel, shapes and origin; by the channel alone it
    is not, as all that is written out under `jax.shard_map` has the same.

    Args:
      program: from `read_program`.
      executions: from `count_executions`.
    """
    found: dict[tuple, Found] = {}
    for name, times in executions.times.items():
        computation = program.computations[name]
        for one in computation.instructions.values():
            for inside, each in _within(program, computation, one):
                key = (inside.name, each.name)
                channel = each.attribute("channel_id")
                if inside is not computation and channel:
                    key = (channel, each.opcode, each.shapes, _source(each))
                if key in found:
                    found[key] = dataclasses.replace(found[key], goes_on=True)
                else:
                    found[key] = Found(each, inside, times, name in executions.beside)
    return list(found.values())


def _within(program: Program, computation: Computation, one: Instruction):
    """The collectives of an instruction, with the computations they stand in."""
    if one.opcode.removesuffix("-start") in COLLECTIVES:
        yield computation, one
    elif one.opcode == "fusion":
        inside = program.computations[one.called]
        for each in inside.instructions.values():
            yield from _within(program, inside, each)


def describe_collective(found: Found, devices: int) -> Collective:
    """What a collective is.

    Args:
      found: from `find_collectives`.
      devices: of the program, for collectives that name no groups.
    """
    one, computation = found.instruction, found.computation
    kind = one.opcode.removesuffix("-start")
    given = sum(s.bytes for name in one.operands for s in computation.instructions[name].shapes)
    returned = sum(shape.bytes for shape in one.shapes if shape.dims)  # and not what counts waits
    if one.opcode.endswith("-start") and kind != "all-reduce":
        returned -= given  # what a start returns holds its operands too
    if kind == "all-reduce" and _is_sliced(computation, one):
        kind = "reduce-scatter"
    return Collective(
        kind=kind,
        bytes=max(given, returned),
        group=_group(one, devices),
        times=found.times,
        is_async=found.goes_on or one.opcode.endswith("-start"),
        source=_source(one),
    )


def _is_sliced(computation: Computation, one: Instruction) -> bool:
    """Whether nothing but slices of it are used; of several arrays at once, slices of each."""
    users = computation.users[one.name]
    return bool(users) and all(
        user.opcode == "dynamic-slice" or (user.opcode in _NAMING and _is_sliced(computation, user))
        for user in users
    )


def _group(one: Instruction, devices: int) -> int:
    """Devices of a group, in any of the ways that HLO writes groups."""
    if one.opcode.startswith("collective-permute"):
        return 2 if "{" in (one.attribute("source_target_pairs") or "").strip("{}") else 1
    groups = one.attribute("replica_groups")
    if groups is None or groups == "{}":
        return devices
    if groups.startswith("mesh["):
        # Lengths of a mesh's axes, then the axes that are communicated along.
        lengths = {name: int(length) for name, length in _AXES.findall(groups)}
        text = one.attributes[one.attributes.index("replica_groups=") :]
        axes = re.search(r"\{((?:'[^']+'[^,}]*,?)+)\}", text)
        return _along(lengths, axes[1]) if axes else devices
    listed = re.match(r"\[(\d+),(\d+)\]<=", groups)
    if listed:
        return int(listed[2])
    return groups.strip("{}").split("}")[0].count(",") + 1


def _along(lengths: Mapping[str, int], axes: str) -> int:
    """Product of the lengths of axes; a part of one is written as ``'a':(1)2``, its length last."""
    parts = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", axes)
    return math.prod(int(part) if part else lengths[name] for name, part in parts)


def _source(one: Instruction) -> str:
    found = re.search(r'op_name="([^"]*)"', one.attributes)
    parts = found[1].split("/") if found else []
    return "/".join(part for part in parts[:-1] if "(" not in part)
