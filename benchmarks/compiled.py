"""Train steps compiled for slices that are not there, at full depth from one and two blocks."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Mapping
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

    def __init__(self, path: pathlib.Path, jobs: int, *, fresh: bool = False):
        """Takes what is known.

        Args:
          path: of the JSON file.
          jobs: compilations at a time; 0 compiles nothing.
          fresh: forget what is known.
        """
        self.path, self.jobs = path, jobs
        self.known = {} if fresh or not path.exists() else json.loads(path.read_text())

    def of(self, names: Iterable[str]) -> list[Found]:
        """Results of these command lines; compiles what is not known."""
        names = list(names)
        missing = [name for name in dict.fromkeys(names) if name not in self.known]
        if missing and not self.jobs:
            raise SystemExit(f"{self.path} does not have: {missing[0]}")
        with concurrent.futures.ThreadPoolExecutor(self.jobs or 1) as pool:
            for name, found in zip(missing, pool.map(compile_one, missing), strict=True):
                print(f"{name}: {found.get('too_large', 'fits')}", file=sys.stderr, flush=True)
                self.known[name] = found
                self.path.write_text(json.dumps(self.known, indent=1, sort_keys=True) + "\n")
        return [self.known[name] for name in names]


def grown(less: Any, more: Any, blocks: int) -> Any:
    """What ``DEPTH`` blocks come to, from what ``blocks`` and one more do; all of it is linear."""
    if isinstance(less, dict):
        return {name: grown(less.get(name), more.get(name), blocks) for name in less | more}
    if isinstance(less, (int, float)) and isinstance(more, (int, float)):
        return less + (DEPTH - blocks) * (more - less)
    return more


def links(found: Found) -> dict[str, Found]:
    """Communication by kind and whether other work goes on beside it."""
    return {
        f"{link['kind']}{' beside work' if link['async'] else ''}": link
        for link in found["collectives"]
    }


class Step(NamedTuple):
    """A train step of a published model on a slice."""

    config: str
    topology: str
    changes: tuple[tuple[str, Any], ...]

    def name(self, depth: int) -> str:
        """The command line that compiles it with so many blocks."""
        return key(self.config, self.topology, {**dict(self.changes), "model.depth": depth})

    @property
    def depths(self) -> tuple[int, ...]:
        """Numbers of blocks to compile; a scan has one program for all of them."""
        return (DEPTH,) if dict(self.changes).get("model.scan_layers") else (1, 2)

    def of(self, results: Results) -> Found:
        """What compiling it tells, at full depth; both compilations must be known."""
        first = self.depths[0]
        one, *more = results.of(map(self.name, self.depths))
        two = more[0] if more else one
        whole = grown(one, two, first)
        none = {"count": 0, "bytes": 0, "sent": 0.0}
        by_kind = links(one), links(two)
        whole["collectives"] = {
            kind: grown(
                *({field: of.get(kind, none)[field] for field in none} for of in by_kind), first
            )
            for kind in by_kind[0] | by_kind[1]
        }
        return whole


def compile_all(results: Results, steps: Iterable[Step]) -> list[Found]:
    """Results of steps at full depth."""
    steps = list(steps)
    results.of(step.name(depth) for step in steps for depth in step.depths)
    return [step.of(results) for step in steps]
