"""What the published models take on TPU slices, by the compiler: the tables of docs/scaling.md.

    python -m benchmarks.scaling                      # compiles what docs/scaling.json lacks
    python -m benchmarks.scaling --fresh --jobs=2     # all of it again, with these versions
    python -m benchmarks.scaling --whole              # and at full depth, one of them, to compare
    python -m benchmarks.scaling --print              # prints the tables, compiles nothing

Every row is two runs of ``vidtx compile``, of the train step with one and with two blocks, which
takes libtpu and no TPU. The other ten blocks of ViT-B are like the second, so that what a block
adds is counted so often: at full depth, with a program for each block, a compilation takes five
minutes of CPU time. ``--whole`` says how far off that is. What was compiled is kept in
docs/scaling.json as it comes, and the tables between the marks in docs/scaling.md are written anew
from it.
"""

from __future__ import annotations

import argparse
import pathlib
import re
from collections.abc import Mapping

from benchmarks.compiled import (
    DEPTH,
    Found,
    Results,
    Step,
    chips_of,
    compile_all,
    markdown,
    most_clips,
    seconds_of_work,
    total,
    utilisation,
)

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGE = DOCS / "scaling.md"

# What trains each variant, beside the published recipe: what the larger ones compute again.
VARIANTS = {
    "base": ("k400_divided", {}),
    "hr": ("k400_divided:hr", {"model.remat": "products"}),
    "l": ("k400_divided:l", {"model.remat": "products"}),
}
SLICES = ("v5e:1x1", "v6e:1x1", "v5p:2x2x1")  # the smallest that Google rents
# Clips a chip to compile with, about as many as fit.
CLIPS = {
    "base": {"v5e:1x1": 8, "v6e:1x1": 16, "v5p:2x2x1": 64},
    "hr": {"v5e:1x1": 2, "v6e:1x1": 4, "v5p:2x2x1": 16},
    "l": {"v5e:1x1": 2, "v6e:1x1": 4, "v5p:2x2x1": 16},
}
PODS = ("v5e:4x4", "v5e:8x8", "v5e:16x16")
STRATEGIES = {"data": {}, "fsdp": {"fsdp": 16}}
POD_CLIPS = 8  # clips a chip

# Clips that several chips share: the variant and what is changed.
SHARED = {
    "TimeSformer-L": ("k400_divided:l", {"model.remat": "products"}),
    "512 frames of 224²": (
        "k400_divided:l",
        {"model.remat": "full", "model.scan_layers": True, "data.frames": 512},
    ),
    "joint, HR": ("k400_divided:joint,hr", {"model.remat": "products"}),
}
SHARED_ON, SHARES = "v5e:2x2", (4,)  # chips that split a clip

WHOLE = ("base", "v5e:1x1", 8)


def step_of(variant: str, topology: str, clips: int, **mesh: int) -> Step:
    """Training a variant with so many clips on each chip of a slice."""
    config, changes = VARIANTS[variant]
    changes = {**changes, **{f"mesh.{axis}": length for axis, length in mesh.items()}}
    changes["train.global_batch"] = max(1, clips * chips_of(topology) // mesh.get("sequence", 1))
    return Step(config, topology, tuple(changes.items()))


def fits(results: Results) -> dict[tuple[str, str], Found]:
    """By variant and slice: training with ``CLIPS``."""
    cells = [(name, place) for name in VARIANTS for place in SLICES]
    steps = (step_of(*cell, CLIPS[cell[0]][cell[1]]) for cell in cells)
    return dict(zip(cells, compile_all(results, steps), strict=True))


def fits_table(found: Mapping[tuple[str, str], Found]) -> str:
    """The smallest slices."""
    rows = []
    for (variant, place), one in found.items():
        own, limit, times = one["clips_per_device"], one["memory"]["limit"], one["times"]
        clips = most_clips(one)
        if not clips:
            raise SystemExit(f"not one clip of {variant} fits {place}")
        roofline = max(times["compute"], times["memory"])
        bound = "compute" if roofline == times["compute"] else "memory"
        rows.append(
            (
                variant, place, one["chips"], clips,
                f"{total(one, clips) / 2**30:.1f} of {limit / 2**30:.1f}",
                f"{one['per_clip']['flops'] / 1e12:.2f}",
                f"{one['per_clip']['hbm_bytes'] / 1e9:.1f}",
                f"{1e3 * roofline / own:.1f} ({bound})",
                f"{1e3 * seconds_of_work(one) / own:.1f}",
                f"{utilisation(one):.0%}",
            )
        )  # fmt: skip
    headers = (
        "model", "slice", "chips", "clips a chip", "memory, GiB", "TFLOPs a clip",
        "HBM GB a clip", "roofline, ms a clip", "cycles, ms a clip", "MFU at most",
    )  # fmt: skip
    return markdown(rows, headers)


def pods_table(results: Results) -> str:
    """Communication of pods, and when it hides."""
    cells = [(strategy, place) for strategy in STRATEGIES for place in PODS]
    steps = (step_of("base", place, POD_CLIPS, **STRATEGIES[name]) for name, place in cells)
    rows = []
    for (strategy, _), one in zip(cells, compile_all(results, steps), strict=True):
        kinds = ", ".join(f"{link['count']} {kind}" for kind, link in one["collectives"].items())
        moved = sum(link["bytes"] for link in one["collectives"].values())
        times, work = one["times"], seconds_of_work(one) / one["clips_per_device"]
        rows.append(
            (
                strategy, one["chips"], kinds, f"{moved / 1e6:,.0f}",
                f"{1e3 * times['communication']:.1f}", f"{1e3 * times['waited_for']:.1f}",
                f"{1e3 * work * POD_CLIPS:.0f}",
                f"{times['communication'] / work:.2f}",
                f"{19 * times['waited_for'] / work:.1f}",
            )
        )  # fmt: skip
    headers = (
        "strategy", "chips", "collectives a step", "MB", "ms", "waited for, ms",
        f"work of {POD_CLIPS} clips, ms", "hides under, clips", "below 5 % from, clips",
    )  # fmt: skip
    return markdown(rows, headers)


def shared_table(results: Results) -> str:
    """A clip on several chips."""
    cells = [(name, shares) for name in SHARED for shares in SHARES]
    steps = []
    for name, shares in cells:
        config, changes = SHARED[name]
        batch = {"mesh.sequence": shares, "train.global_batch": 4 // shares}
        steps.append(Step(config, SHARED_ON, tuple({**changes, **batch}.items())))
    rows = []
    for (name, shares), one in zip(cells, compile_all(results, steps), strict=True):
        moved = dict.fromkeys(("all-to-all", "all-gather"), 0)
        for kind, link in one["collectives"].items():
            plain = kind.partition(" ")[0]
            moved[plain] = moved.get(plain, 0) + link["bytes"]
        limit = one["memory"]["limit"]
        rows.append(
            (
                name, shares, f"{total(one) / 2**30:.1f}",
                "yes" if total(one) <= limit else "no",
                f"{1e3 * seconds_of_work(one):.0f}",
                f"{1e3 * one['times']['communication']:.1f}",
                f"{moved['all-to-all'] / 1e6:,.0f}", f"{moved['all-gather'] / 1e6:,.0f}",
            )
        )  # fmt: skip
    headers = (
        "clip", "chips a clip", "memory, GiB", "fits", "work, ms", "communication, ms",
        "all-to-all, MB", "all-gather, MB",
    )  # fmt: skip
    return markdown(rows, headers)


def whole_line(results: Results) -> str:
    """How far twelve blocks are from twelve times one."""
    step = step_of(*WHOLE)
    (reckoned,), (compiled,) = compile_all(results, [step]), results.of([step.name(DEPTH)])
    pairs = {
        "memory": (total(reckoned), total(compiled)),
        "FLOPs": (reckoned["per_clip"]["flops"], compiled["per_clip"]["flops"]),
        "HBM bytes": (reckoned["per_clip"]["hbm_bytes"], compiled["per_clip"]["hbm_bytes"]),
        "cycles": (reckoned["per_clip"]["cycles"], compiled["per_clip"]["cycles"]),
    }
    parts = ", ".join(f"{name} {mine / real - 1:+.1%}" for name, (mine, real) in pairs.items())
    return (
        f"From one and two blocks, against all {DEPTH} compiled ({WHOLE[0]} on `{WHOLE[1]}`): "
        f"{parts}."
    )


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fresh", action="store_true", help="compile all again")
    parser.add_argument("--whole", action="store_true", help="one at full depth as well")
    parser.add_argument("--jobs", type=int, default=1, help="compilations at a time (default: 1)")
    parser.add_argument("--print", action="store_true", help="print the tables alone")
    options = parser.parse_args(arguments)
    results = Results(
        DOCS / "scaling.json", 0 if options.print else options.jobs, fresh=options.fresh
    )
    known = step_of(*WHOLE).name(DEPTH) in results.known
    tables = {
        "fits": fits_table(fits(results)),
        "pods": pods_table(results),
        "shared": shared_table(results),
        "whole": whole_line(results) if options.whole or known else "",
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
