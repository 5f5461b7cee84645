"""The published models, what they cost and what they take: docs/models.md.

    python -m benchmarks.models            # compiles what is missing, and writes the page
    python -m benchmarks.models --jobs=0   # writes it from what is known; the rest is left out
    python -m benchmarks.models --print    # prints it, compiles and writes nothing
    python -m benchmarks.models --fresh    # compiles all again, with these versions

Accuracies are of ``experiments.published``, parameters and multiply-adds are counted from each
run's config. Memory and times are of ``vidtx compile``, of one and two blocks, as
`benchmarks.scaling` has it: what that has compiled is taken from docs/scaling.json, the rest is
kept in docs/models.json as it comes. That takes libtpu, no TPU, and one to five minutes of CPU time
each. Runs whose programs differ in no more than classes or position embeddings share one.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import scaling
from benchmarks.compiled import (
    Found,
    Results,
    Step,
    chips_of,
    markdown,
    most_clips,
    seconds_of_work,
    total,
    utilisation,
)
from benchmarks.models_runs import ROWS, data_set, model, spec_of, variant_of
from benchmarks.models_text import CLOSING, OPENING, TAKES
from vidtx.config import RunSpec

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGE, KNOWN = DOCS / "models.md", DOCS / "models.json"

# A program for each model and clip: clips on a chip of v5e to compile with, about as many as fit,
# and what is changed, as large clips need.
PRODUCTS = {"model.remat": "products"}
PROGRAMS: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    "k400_space": (8, {}),
    "k400_joint": (8, {}),
    **{
        config: (scaling.CLIPS[name]["v5e:1x1"], changes)
        for name, (config, changes) in scaling.VARIANTS.items()
    },
    "k400_divided:frames=32": (2, {}),
    "k400_divided:frames=64": (2, PRODUCTS),
    "k400_divided:order=space_time": (8, {}),
    "k400_divided:order=parallel": (8, {}),
    "k400_sparse_local_global": (8, {}),
    "k400_axial": (8, {}),
    "k400_divided:variant=S/16": (16, {}),
    "k400_divided:variant=L/16": (2, {}),
    "k400_divided:variant=B/32": (32, {}),
}
# The smallest slices that Google rents, their people's names, and how many times the clips.
SLICES = {"v5e:1x1": ("TPU v5e", 1), "v6e:1x1": ("TPU v6e", 2), "v5p:2x2x1": ("TPU v5p", 8)}


def program_of(spec: RunSpec) -> tuple[Any, ...]:
    """What a program goes by here: the model and the clip."""
    return spec.model.scheme, spec.model.name, spec.data.frames, spec.data.image_size


def step_of(config: str, place: str) -> Step:
    """The compilation of a program for a slice."""
    clips, changes = PROGRAMS[config]
    batch = clips * SLICES[place][1] * chips_of(place)
    changes = {**changes, "train.global_batch": batch}
    return Step(config, place, tuple(changes.items()), model(spec_of(config)).depth)


def program_row(config: str, found: Found) -> tuple[object, ...]:
    """A program's line of a slice's table."""
    spec = spec_of(config)
    label = (
        spec.model.scheme, variant_of(spec), f"{spec.data.frames} × {spec.data.image_size[0]}²",
        f"`{config}`", PROGRAMS[config][1].get("model.remat", "none"),
    )  # fmt: skip
    if "too_large" in found:
        return (*label, "not one", *["–"] * 5)
    clips, own, times = most_clips(found), found["clips_per_device"], found["times"]
    roofline = max(times["compute"], times["memory"])
    bound = "compute" if roofline == times["compute"] else "memory"
    return (
        *label, clips or "not one", f"{total(found, clips or 1) / 2**30:.1f}",
        f"{1e3 * roofline / own:.1f} ({bound})", f"{1e3 * seconds_of_work(found) / own:.1f}",
        f"{utilisation(found):.0%}", f"{own:g}",
    )  # fmt: skip


PROGRAM_HEADERS = (
    "attention", "ViT", "clip", "config", "remat", "clips a chip", "memory, GiB",
    "roofline, ms a clip", "cycles, ms a clip", "MFU at most", "compiled with",
)  # fmt: skip


def slices(results: Results) -> Iterator[str]:
    """The parts of the page on the slices; what is not compiled is named."""
    for place, (people, _) in SLICES.items():
        steps = {config: step_of(config, place) for config in PROGRAMS}
        known = {
            config: step.of(results)
            for config, step in steps.items()
            if not results.missing(map(step.name, step.depths))
        }
        absent = [f"`{config}`" for config in PROGRAMS if config not in known]
        fits = next((found for found in known.values() if "memory" in found), None)
        lines = [program_row(config, found) for config, found in known.items()]
        chips = f"`{place}`: {chips_of(place)} chip{'s' * (chips_of(place) > 1)}"
        if fits:
            chips += f" of {fits['memory']['limit'] / 2**30:.1f} GiB for programs"
        yield f"### {people}\n\n{chips}."
        if lines:
            yield markdown(lines, PROGRAM_HEADERS)
        if absent:
            yield f"Not compiled yet, and left out: {', '.join(absent)}."


def page(results: Results) -> str:
    """The whole page, in Markdown.

    Raises:
      SystemExit: a run has no program.
    """
    programs = {program_of(spec_of(config)) for config in PROGRAMS}
    lost = [row.reference for row in ROWS if program_of(spec_of(row.reference)) not in programs]
    if lost:
        raise SystemExit(f"PROGRAMS has no model and clip of {', '.join(lost)}")
    names = dict.fromkeys(row.dataset for row in ROWS)
    sets = (data_set(name, [row for row in ROWS if row.dataset == name]) for name in names)
    return "\n\n".join([OPENING, *sets, TAKES, *slices(results), CLOSING])


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fresh", action="store_true", help="compile all again")
    parser.add_argument("--jobs", type=int, default=1, help="compilations at a time (default: 1)")
    parser.add_argument("--print", action="store_true", help="print the page alone")
    options = parser.parse_args(arguments)
    jobs = 0 if options.print else options.jobs
    elsewhere = () if options.fresh else (DOCS / "scaling.json",)
    results = Results(KNOWN, jobs, fresh=options.fresh, elsewhere=elsewhere)
    if jobs:
        steps = [step_of(config, place) for place in SLICES for config in PROGRAMS]
        results.of(step.name(depth) for step in steps for depth in step.depths)
    text = page(results)
    if options.print:
        print(text)
    else:
        PAGE.write_text(text + "\n")


if __name__ == "__main__":
    main()
