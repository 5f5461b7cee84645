"""What the published models take on TPU slices, by the compiler: the tables of docs/scaling.md.

    python -m benchmarks.scaling                      # compiles what docs/scaling.json lacks
    python -m benchmarks.scaling --fresh --jobs=2     # all of it again, with these versions
    python -m benchmarks.scaling --print              # prints the tables, compiles nothing

Every row is one ``vidtx compile``, of the whole train step at full depth, which takes libtpu and no
TPU: one to four minutes of two cores each, an hour for all. What was compiled is kept in
docs/scaling.json as it comes, and the tables between the marks in docs/scaling.md are written anew
from it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from vidtx.reporting import format_table

DOCS = pathlib.Path(__file__).parents[1] / "docs"
RESULTS, PAGE = DOCS / "scaling.json", DOCS / "scaling.md"

# What trains each variant, beside the published recipe: what the larger ones compute again.
VARIANTS = {
    "base": ("k400_divided", {}),
    "hr": ("k400_divided:hr", {"model.remat": "products"}),
    "l": ("k400_divided:l", {"model.remat": "products"}),
}
SLICES = ("v5e:1x1", "v6e:1x1", "v5p:2x2x1")  # the smallest that Google rents
# Clips a chip of the first try; more are tried if they should fit, fewer if these do not.
START = {
    "base": {"v5e:1x1": 8, "v6e:1x1": 16, "v5p:2x2x1": 64},
    "hr": {"v5e:1x1": 2, "v6e:1x1": 4, "v5p:2x2x1": 16},
    "l": {"v5e:1x1": 2, "v6e:1x1": 4, "v5p:2x2x1": 16},
}
PODS = ("v5e:4x4", "v5e:8x8", "v5e:16x16")
STRATEGIES = {"data": {}, "fsdp": {"mesh.fsdp": 16}}
POD_CLIPS = 8  # clips a chip

# Clips that several chips share: the variant and what is changed.
SHARED = {
    "TimeSformer-L": ("k400_divided:l", {"model.remat": "products"}),
    "512 frames of 224²": ("k400_divided:l", {"model.remat": "full", "data.frames": 512}),
    "joint, HR": ("k400_divided:joint,hr", {"model.remat": "products"}),
}
SHARES = (1, 4)  # chips that split a clip, of the four of v5e:2x2

KEPT = (
    "topology", "chips", "devices", "mesh", "clips", "clips_per_device", "memory", "times",
    "per_clip", "mfu_bound", "collectives", "model_flops_per_clip", "compile_seconds", "versions",
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

    def __init__(self, fresh: bool, jobs: int):
        self.known = {} if fresh or not RESULTS.exists() else json.loads(RESULTS.read_text())
        self.jobs = jobs

    def of(self, names: Iterable[str]) -> list[Found]:
        """Results of these command lines; compiles what is not known."""
        names = list(names)
        missing = [name for name in dict.fromkeys(names) if name not in self.known]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            for name, found in zip(missing, pool.map(compile_one, missing), strict=True):
                print(f"{name}: {found.get('too_large', 'fits')}", file=sys.stderr, flush=True)
                self.known[name] = found
                RESULTS.write_text(json.dumps(self.known, indent=1, sort_keys=True) + "\n")
        return [self.known[name] for name in names]


def fit_name(variant: str, topology: str, clips: int) -> str:
    """Training a variant with so many clips on each chip of a slice."""
    config, changes = VARIANTS[variant]
    across, _, along = topology.partition(":")[2].partition("x")
    chips = int(across) * int(along.partition("x")[0]) * int(along.partition("x")[2] or 1)
    return key(config, topology, {**changes, "train.global_batch": clips * chips})


def most_clips(found: Found) -> int:
    """The power of two of clips that should fit a chip, as memory grows with clips."""
    memory, clips = found["memory"], found["clips_per_device"]
    each = (memory["temporaries"] + memory["batch"]) / clips
    room = 0.97 * memory["limit"] - (memory["total"] - memory["temporaries"] - memory["batch"])
    most = 1
    while 2 * most * each <= room:
        most *= 2
    return most


def fits(results: Results) -> dict[tuple[str, str], tuple[str, Found]]:
    """By variant and slice: the compilation with the most clips a chip, a power of two."""
    trying = {(name, place): START[name][place] for name in VARIANTS for place in SLICES}
    found: dict[tuple[str, str], tuple[str, Found]] = {}
    too_many = dict.fromkeys(trying, 2**30)
    while trying:
        names = {cell: fit_name(*cell, clips) for cell, clips in trying.items()}
        compiled = dict(zip(names, results.of(names.values()), strict=True))
        for cell, one in compiled.items():
            clips = trying.pop(cell)
            if "too_large" in one:
                too_many[cell] = clips
                if clips == 1:
                    raise SystemExit(f"{names[cell]}: {one['too_large']}")
                if cell not in found:
                    trying[cell] = clips // 2
                continue
            found[cell] = names[cell], one
            more = min(most_clips(one), too_many[cell] // 2)
            if more > clips:
                trying[cell] = more
    return {(name, place): found[name, place] for name in VARIANTS for place in SLICES}


def seconds_of_work(found: Found) -> float:
    """Of a step without communication, by the slowest model."""
    return max(found["times"]["roofline"], found["times"]["cycles"] or 0.0)


def fits_table(found: Mapping[tuple[str, str], tuple[str, Found]]) -> str:
    """The smallest slices."""
    rows = []
    for (variant, place), (_, one) in found.items():
        clips, memory, times = one["clips_per_device"], one["memory"], one["times"]
        rows.append(
            (
                variant, place, one["chips"], f"{clips:g}",
                f"{memory['total'] / 2**30:.1f} of {memory['limit'] / 2**30:.1f}",
                f"{one['per_clip']['flops'] / 1e12:.2f}",
                f"{one['per_clip']['hbm_bytes'] / 1e9:.1f}",
                f"{1e3 * times['roofline'] / clips:.1f} ({times['bound']})",
                f"{1e3 * seconds_of_work(one) / clips:.1f}",
                f"{one['mfu_bound']:.0%}",
            )
        )  # fmt: skip
    headers = (
        "model", "slice", "chips", "clips a chip", "memory, GiB", "TFLOPs a clip",
        "HBM GB a clip", "roofline ms a clip", "ms a clip by cycles", "MFU at most",
    )  # fmt: skip
    return format_table(rows, headers)


def pods_table(results: Results) -> str:
    """Communication of pods, and when it hides."""
    config, changes = VARIANTS["base"]
    rows = []
    for strategy, mesh in STRATEGIES.items():
        names = []
        for place in PODS:
            across, along = place.partition(":")[2].split("x")
            batch = {"train.global_batch": POD_CLIPS * int(across) * int(along)}
            names.append(key(config, place, {**changes, **mesh, **batch}))
        for one in results.of(names):
            kinds = ", ".join(f"{link['count']} {link['kind']}" for link in one["collectives"])
            moved = sum(link["bytes"] for link in one["collectives"])
            work = seconds_of_work(one) / one["clips_per_device"]
            times = one["times"]
            rows.append(
                (
                    strategy, one["chips"], kinds, f"{moved / 1e6:,.0f}",
                    f"{1e3 * times['communication']:.1f}", f"{1e3 * times['waited_for']:.1f}",
                    f"{1e3 * seconds_of_work(one):.0f}",
                    f"{times['communication'] / work:.2f}",
                    f"{times['waited_for'] / work / 0.05:.1f}",
                )
            )  # fmt: skip
    headers = (
        "strategy", "chips", "collectives a step", "MB", "ms", "waited for, ms",
        f"work of {POD_CLIPS} clips, ms", "hides under clips a chip", "under 5 % from clips a chip",
    )  # fmt: skip
    return format_table(rows, headers)


def shared_table(results: Results) -> str:
    """A clip on several chips."""
    rows = []
    for name, (config, changes) in SHARED.items():
        commands = [
            key(config, "v5e:2x2", {**changes, "mesh.sequence": k, "train.global_batch": 4 // k})
            for k in SHARES
        ]
        for shares, one in zip(SHARES, results.of(commands), strict=True):
            if "too_large" in one:
                rows.append((name, shares, "does not fit", "", "", "", ""))
                continue
            memory = one["memory"]
            sent = {link["kind"]: 0 for link in one["collectives"]}
            for link in one["collectives"]:
                sent[link["kind"]] += link["bytes"]
            rows.append(
                (
                    name, shares, f"{memory['total'] / 2**30:.1f}",
                    f"{1e3 * seconds_of_work(one) / max(1, one['clips_per_device']):.0f}",
                    f"{1e3 * one['times']['communication']:.1f}",
                    f"{sent.get('all-to-all', 0) / 1e6:,.0f}",
                    f"{sent.get('all-gather', 0) / 1e6:,.0f}",
                )
            )  # fmt: skip
    headers = (
        "clip", "chips a clip", "memory, GiB", "work, ms", "communication, ms", "all-to-all, MB",
        "all-gather, MB",
    )  # fmt: skip
    return format_table(rows, headers)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fresh", action="store_true", help="compile all again")
    parser.add_argument("--jobs", type=int, default=1, help="compilations at a time (default: 1)")
    parser.add_argument("--print", action="store_true", help="print the tables alone")
    options = parser.parse_args(arguments)
    results = Results(options.fresh, options.jobs)
    tables = {
        "fits": fits_table(fits(results)),
        "shared": shared_table(results),
        "pods": pods_table(results),
    }
    if options.print:
        print("\n\n".join(tables.values()))
        return
    page = PAGE.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        page = re.sub(f"{begin}.*?{end}", f"{begin}\n{table}\n{end}", page, flags=re.DOTALL)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
