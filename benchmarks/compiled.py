"""Train steps compiled for slices that are not there, at full depth from one and two blocks."""

from __future__ import annotations

import concurrent.futures
import json
import math
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

DEPTH = 12  # blocks of ViT-B
KEPT = (
    "topology", "chips", "devices", "mesh", "clips", "clips_per_device", "memory", "times",
    "per_clip", "collectives", "model_flops_per_clip", "compile_seconds", "versions", "chip",
)  # fmt: skip

Found = dict[str, Any]


def key(config: str, topology: str, changes: Mapping[str, Any]) -> str:
    """One compilation's command line, which is also its name in the results."""
    options = [f"--config.{name}={value}" for name, value in sorted(changes.items())]
    return " ".join(["vidtx compile", f"--config={config}", f"--topology={topology}", *options])


def chips_of(topology: str) -> int:
    """Chips of a slice, such as 16 of ``v5e:4x4``."""
    return math.prod(map(int, topology.partition(":")[2].split("x")))


def compile_one(name: str) -> Found:
    """Runs a command line; a step that does not fit is a result too."""
    command = [sys.executable, "-m", *name.split(), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    if done.returncode == 0:
        return {field: found[field] for field in KEPT}
    if "error" in found and "fit" in found["error"]["message"]:
        return {"too_large": found["error"]["message"].splitlines()[0]}
    raise SystemExit(f"{name}\n{done.stderr[-2000:]}")


class Results:
    """What was compiled, by command line, kept on disk as it comes."""

    def __init__(
        self,
        path: pathlib.Path,
        jobs: int,
        *,
        fresh: bool = False,
        elsewhere: Iterable[pathlib.Path] = (),
    ):
        """Takes what is known.

        Args:
          path: of the JSON file.
          jobs: compilations at a time; 0 compiles nothing.
          fresh: forget what is known.
          elsewhere: further such files, which are read alone.
        """
        self.path, self.jobs = path, jobs
        self.known = {} if fresh or not path.exists() else json.loads(path.read_text())
        self.elsewhere: dict[str, Found] = {}
        for other in elsewhere:
            self.elsewhere |= json.loads(other.read_text())

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of these command lines whose results are not known."""
        names = dict.fromkeys(names)
        return [name for name in names if name not in self.known and name not in self.elsewhere]

    def of(self, names: Iterable[str]) -> list[Found]:
        """Results of these command lines; compiles what is not known."""
        names = list(names)
        missing = self.missing(names)
        if missing and not self.jobs:
            raise SystemExit(f"{self.path} does not have: {missing[0]}")
        with concurrent.futures.ThreadPoolExecutor(self.jobs or 1) as pool:
            for name, found in zip(missing, pool.map(compile_one, missing), strict=True):
                print(f"{name}: {found.get('too_large', 'fits')}", file=sys.stderr, flush=True)
                self.known[name] = found
                self.path.write_text(json.dumps(self.known, indent=1, sort_keys=True) + "\n")
        known = self.elsewhere | self.known
        return [known[name] for name in names]


def grown(less: Any, more: Any, blocks: int) -> Any:
    """What so many blocks come to, from what one and two do; all of it is linear."""
    if isinstance(less, dict):
        return {name: grown(less.get(name), more.get(name), blocks) for name in less | more}
    if isinstance(less, (int, float)) and isinstance(more, (int, float)):
        return less + (blocks - 1) * (more - less)
    return more


def links(found: Found) -> dict[str, Found]:
    """Communication by kind and whether other work goes on beside it."""
    return {
        f"{link['kind']}{' beside work' if link['async'] else ''}": link
        for link in found["collectives"]
    }


class Step(NamedTuple):
    """A train step of a published model on a slice.

    Attributes:
      config: of the run.
      topology: name of the slice.
      changes: options of the config, by dotted names, and their values.
      blocks: of the whole model.
    """

    config: str
    topology: str
    changes: tuple[tuple[str, Any], ...]
    blocks: int = DEPTH

    def name(self, depth: int) -> str:
        """The command line that compiles it with so many blocks."""
        return key(self.config, self.topology, {**dict(self.changes), "model.depth": depth})

    @property
    def depths(self) -> tuple[int, ...]:
        """Numbers of blocks to compile; a scan has one program for all of them."""
        return (self.blocks,) if dict(self.changes).get("model.scan_layers") else (1, 2)

    def of(self, results: Results) -> Found:
        """What compiling it tells, at full depth; both compilations must be known.

        Of a step that does not fit even with its first blocks, ``too_large`` alone.
        """
        one, *more = results.of(map(self.name, self.depths))
        two = more[0] if more else one
        for found in (one, two):
            if "too_large" in found:
                return found
        whole = grown(one, two, self.blocks)
        none = {"count": 0, "bytes": 0, "sent": 0.0}
        by_kind = links(one), links(two)
        whole["collectives"] = {
            kind: grown(
                *({field: of.get(kind, none)[field] for field in none} for of in by_kind),
                self.blocks,
            )
            for kind in by_kind[0] | by_kind[1]
        }
        return whole


def compile_all(results: Results, steps: Iterable[Step]) -> list[Found]:
    """Results of steps at full depth."""
    steps = list(steps)
    results.of(step.name(depth) for step in steps for depth in step.depths)
    return [step.of(results) for step in steps]


def total(found: Found, clips: float | None = None) -> float:
    """Bytes that a device needs; for other clips in proportion, but for weights and program."""
    memory, own = found["memory"], found["clips_per_device"]
    grows = memory["temporaries"] + memory["batch"]
    return memory["total"] + grows * ((own if clips is None else clips) / own - 1)


def most_clips(found: Found) -> int:
    """The largest power of two of clips that fits a chip; 0 where not one does."""
    clips = 1
    while total(found, 2 * clips) <= found["memory"]["limit"]:
        clips *= 2
    return clips if total(found, clips) <= found["memory"]["limit"] else 0


def seconds_of_work(found: Found) -> float:
    """Of a step without communication, by the slowest model."""
    times = found["times"]
    return max(times["compute"], times["memory"], times["cycles"] or 0.0)


def utilisation(found: Found) -> float:
    """Model FLOPs utilisation that this allows."""
    work = found["model_flops_per_clip"] * found["clips_per_device"]
    return work / (found["chip"]["peak_flops"] * seconds_of_work(found))


def markdown(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """A table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
