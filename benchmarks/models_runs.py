"""The tables of published runs in docs/models.md, which `benchmarks.models` writes."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.compiled import markdown
from benchmarks.models_text import DATASETS
from experiments.published import PRETRAINING, PUBLISHED, Published
from vidtx.analysis import count_macs, parameter_shapes
from vidtx.config import RunSpec, load_config, resolve
from vidtx.models import TimeSformer
from vidtx.run.programs import CLASSES, num_classes_of
from vidtx.run.setup import model_of

# The paper's choice of classes (section 4.6); the data set itself has another number.
HOWTO100M_CLASSES = 1059

# With data sets of experiments that the paper has no figures for.
ROWS = (
    *PUBLISHED,
    Published("ucf101_divided", "UCF101", "", pretraining="k400"),
    Published("hmdb51_divided", "HMDB51", "", pretraining="k400"),
)


@functools.cache
def spec_of(reference: str) -> RunSpec:
    """The resolved config of an experiment."""
    return resolve(load_config(reference))


def model(spec: RunSpec, depth: int | None = None) -> TimeSformer:
    """Its model, on a TPU; with so many blocks, unless None."""
    known = spec.data.name in CLASSES
    classes = num_classes_of(spec, None if known else HOWTO100M_CLASSES)
    if depth:
        spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, depth=depth))
    return model_of(spec, classes, platform="tpu")


def parameters_of(spec: RunSpec) -> int:
    """Parameters of its model; all blocks have as many as the first, which alone is traced."""
    return _parameters(model(spec, depth=1), model(spec).depth)


@functools.cache
def _parameters(one: TimeSformer, depth: int) -> int:
    sizes = {name: math.prod(shape) for name, shape in parameter_shapes(one).items()}
    block = sum(size for name, size in sizes.items() if name.startswith("block_0/"))
    return sum(sizes.values()) + (depth - 1) * block


def variant_of(spec: RunSpec) -> str:
    """Size and patch side of a ViT, such as ``B/16``."""
    letter, patch = re.fullmatch(r"timesformer_([a-z])(\d+)", spec.model.name).groups()
    return f"{letter.upper()}/{patch}"


def merged(rows: Sequence[Published]) -> dict[str, list[Published]]:
    """Rows by experiment, in their order."""
    found: dict[str, list[Published]] = {}
    for row in rows:
        found.setdefault(row.reference, []).append(row)
    return found


def first(rows: Sequence[Published], field: str) -> Any:
    """The first value of a field that is given."""
    return next((value for row in rows if (value := getattr(row, field)) is not None), None)


def accuracies(top1: float | None, top5: float | None) -> str:
    """Both, or the one that there is."""
    return " / ".join(f"{value:.1f}" for value in (top1, top5) if value is not None)


def weights(rows: Sequence[Published]) -> str:
    """Where the trained weights are."""
    name = first(rows, "weights")
    if name:
        return f"[{name.removeprefix('facebook/timesformer-')}](https://huggingface.co/{name})"
    return "authors' page" if first(rows, "released_top1") else "–"


def tables_told(rows: Sequence[Published]) -> str:
    """Where in the paper the figures stand: ``Tables 1, 3``."""
    places = dict.fromkeys(row.table for row in rows if row.table)
    numbers = [place.removeprefix("Table ") for place in places if place.startswith("Table ")]
    told = [f"Table{'s' * (len(numbers) > 1)} {', '.join(numbers)}"] * bool(numbers)
    return "; ".join([*told, *(place for place in places if not place.startswith("Table "))])


def run_row(reference: str, rows: Sequence[Published]) -> tuple[object, ...]:
    """A run's line of its data set's table."""
    spec, row = spec_of(reference), rows[0]
    file, side = reference.partition(":")[0], spec.data.image_size[0]
    spread = spec.data.sampling == "segments"
    attention = spec.model.scheme
    if spec.model.position_embedding != "space_time":
        attention += f", positions {spec.model.position_embedding}"
    published = accuracies(first(rows, "top1"), first(rows, "top5"))
    difference = first(rows, "difference")
    if not published and difference is not None:
        published = f"about {difference:+g}".replace("-", "−")
    return (
        f"[`{reference}`](../experiments/{file}.py)",
        f"{spec.data.frames}{', spread' if spread else f' × {spec.data.stride}'}",
        f"{side}²",
        PRETRAINING[row.pretraining],
        attention,
        variant_of(spec),
        f"{parameters_of(spec) / 1e6:.2f}",
        f"{count_macs(model(spec)).total / 1e9:,.1f} × {math.prod(row.views)}",
        published or "–",
        accuracies(first(rows, "released_top1"), first(rows, "released_top5")) or "–",
        weights(rows),
        tables_told(rows) or "–",
    )


RUN_HEADERS = (
    "config", "frames × stride", "pixels", "pre-training", "attention", "ViT", "parameters, M",
    "GMACs × views", "the paper's top-1 / top-5, %", "released model's, %", "weights",
    "figures from",
)  # fmt: skip


def notes(rows: Sequence[Published]) -> Iterator[str]:
    """What else to know of the rows of a data set, as a list."""
    of: dict[str, list[Published]] = {}
    for row in rows:
        if row.note:
            of.setdefault(row.note, []).append(row)
    for note, those in of.items():
        names = ", ".join(f"`{row.reference}`" for row in those)
        told = "All" if len(those) == len(rows) else f"{tables_told(those)} ({names})"
        yield f"- {told}: {note}"


def data_set(name: str, rows: Sequence[Published]) -> str:
    """The part of the page on a data set."""
    lines = [run_row(*pair) for pair in merged(rows).items()]
    parts = [f"### {name}", DATASETS.get(name, ""), markdown(lines, RUN_HEADERS)]
    return "\n\n".join(filter(None, [*parts, "\n".join(notes(rows))]))
