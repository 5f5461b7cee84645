"""What a checkpoint of vidtx says of the model that its weights are of."""

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

import jax

from vidtx.checkpoints.places import Path, exists
from vidtx.checkpoints.weights import Weights
from vidtx.errors import CheckpointError, ConfigError
from vidtx.models import SCHEMES, SIZES, TimeSformer
from vidtx.weights import Architecture, Entry, Report, Source

__all__ = ["LAYOUT", "RECORDED", "describe_weights"]

LAYOUT = "vidtx checkpoint"

# Options of a run that are saved with its weights, beside ``class_names``, ``dataset`` and
# ``fingerprint``; see `vidtx.run.contract`.
RECORDED = (
    *(f"model.{name}" for name in ("name", "scheme", "position_embedding")),
    *(f"model.{name}" for name in ("embed_dim", "depth", "num_heads")),
    *(f"data.{name}" for name in ("mean", "std", "channel_order", "frames", "stride", "sampling")),
    *(f"data.{name}" for name in ("target_fps", "image_size", "short_videos", "eval_short_side")),
    "data.multi_label",
    # How a video's views are taken and averaged, for whoever asks the weights about one.
    *(f"eval.{name}" for name in ("temporal_views", "temporal_position", "spatial_crops")),
    "eval.average",
)

_PATCH, _POSITION, _TIME = "embedding.patch.kernel", "embedding.position", "embedding.time"
_STEP = re.compile(r"block_\d+\.(\w+)\.fc\.bias")
_BLOCK = re.compile(r"block_(\d+)\.")
_NAME = re.compile(r"timesformer_([a-z]+)\d+")


def describe_weights(
    weights: Weights,
    *,
    like: TimeSformer | None = None,
    num_heads: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    channel_order: str | None = None,
) -> Source:
    """A checkpoint's weights as a source whose ``params`` are `jax.ShapeDtypeStruct`.

    What the shapes do not tell is taken from the contract that is saved with the weights; where
    there is none, as in older ones, from the files of the run that the checkpoint lies in.

    Args:
      weights: of the checkpoint; they need not have been read.
      like: a model whose number of heads and so on they have where nothing is on record.
      num_heads: ``A``, in place of what is on record.
      image_size: a side or ``(height, width)`` in pixels, in place of what is on record.
      channel_order: ``rgb`` or ``bgr``, in place of what is on record.

    Raises:
      CheckpointError: they are no TimeSformer's, or too little is on record.
      ConfigError: what was given does not fit them.
    """
    record = weights.contract
    if record is None:
        record = _record_of_run(weights.source)
    if channel_order is not None:
        record = {**record, "data.channel_order": channel_order}
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    given = {"num_heads": num_heads, "image_size": image_size}
    notes = []
    if weights.averaged:
        notes.append(f"They are the averaged weights of step {weights.step:,}.")
    return Source(
        path=os.fspath(weights.source),
        layout=LAYOUT,
        params=dict(weights.shapes),
        architecture=_architecture(weights, record, given, like, notes),
        report=Report(tuple(Entry("used", name, (name,)) for name in weights.shapes), tuple(notes)),
        contract=record,
    )


def _record_of_run(checkpoint: Path) -> dict[str, Any]:
    if checkpoint.parent.name not in ("checkpoints", "best"):
        return {}
    config = _json_in(checkpoint.parent.parent / "config.json")
    data = _json_in(checkpoint.parent.parent / "dataset.json")
    options = (option.split(".") for option in RECORDED)
    record = {
        f"{group}.{name}": config[group][name]
        for group, name in options
        if name in config.get(group, {})
    }
    names = {"class_names": "class_names", "dataset": "name", "fingerprint": "fingerprint"}
    return record | {key: data[name] for key, name in names.items() if name in data}


def _json_in(path: Path) -> dict[str, Any]:
    if not exists(path):
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}, which says what the weights beside it are of, is damaged: {error}. Restore "
            "it from a copy."
        ) from error


def _architecture(
    weights: Weights,
    record: Mapping[str, Any],
    given: Mapping[str, Any],
    like: TimeSformer | None,
    notes: list[str],
) -> Architecture:
    """Of the shapes what they tell; the rest as it was given, is on record, or is of ``like``."""
    shapes = weights.shapes
    lacking = sorted({_PATCH, "embedding.class_token", "block_0.norm1.scale"} - shapes.keys())
    if lacking:
        raise CheckpointError(
            f"The weights of {weights.source} are no TimeSformer's: they lack "
            f"{', '.join(lacking)}. Name others."
        )
    patch_size = shapes[_PATCH].shape[0]
    recorded = record.get("data.image_size")
    asked = {
        "scheme": record.get("model.scheme"),
        "num_heads": given["num_heads"] or record.get("model.num_heads") or _heads_by_name(record),
        "image_size": given["image_size"] or (recorded and tuple(recorded)),
    }
    guessed = {
        "scheme": _scheme(shapes, like),
        "num_heads": like and like.num_heads,
        "image_size": _image_size(shapes, patch_size, like),
    }
    found = {name: value or guessed[name] for name, value in asked.items()}
    missing = [name for name, value in found.items() if value is None]
    if missing:
        options = " and ".join(f"{name}=…" for name in missing if name in given)
        raise CheckpointError(
            f"Nothing is on record of {', '.join(missing)} of the weights of {weights.source}: "
            "neither the folder `contract` of the checkpoint nor config.json of its run is there. "
            f"{f'Give {options}, or put' if options else 'Put'} either back."
        )
    unknown = [name for name, value in asked.items() if value is None]
    if unknown:
        taken = ", ".join(f"{name} {found[name]}" for name in unknown)
        notes.append(f"Nothing is on record of some of their options, which are taken for {taken}.")
    dim = shapes["embedding.class_token"].shape[-1]
    if dim % found["num_heads"]:
        raise ConfigError(
            f"num_heads is {found['num_heads']}, but the weights of {weights.source} are {dim} "
            "wide; it must be a divisor."
        )
    time, head = shapes.get(_TIME), shapes.get("head.bias")
    frames = time.shape[1] if time else record.get("data.frames") or (like and like.num_frames)
    return Architecture(
        **found,
        embed_dim=dim,
        depth=1 + max(int(match[1]) for match in map(_BLOCK.match, shapes) if match),
        patch_size=patch_size,
        num_frames=frames or 1,
        num_classes=head.shape[0] if head else None,
        position_embedding=(
            "none" if _POSITION not in shapes else "space" if time is None else "space_time"
        ),
    )


def _heads_by_name(record: Mapping[str, Any]) -> int | None:
    match = _NAME.fullmatch(record.get("model.name") or "")
    return SIZES[match[1]].num_heads if match and match[1] in SIZES else None


def _scheme(shapes: Mapping[str, jax.ShapeDtypeStruct], like: TimeSformer | None) -> str | None:
    """The scheme that has these steps: that of ``like``, or the one of the paper, if it is one."""
    steps = {match[1] for match in map(_STEP.fullmatch, shapes) if match}
    fitting = {
        name: scheme
        for name, scheme in SCHEMES.items()
        if {step.name for step in scheme.added_steps} == steps
        and (scheme.sees_time or _TIME not in shapes)
    }
    if like is not None and like.scheme in fitting:
        return like.scheme
    published = [name for name, scheme in fitting.items() if scheme.order == "added_first"]
    # Without a time embedding, space and joint have the same weights.
    return published[0] if len(published) == 1 or (like is not None and published) else None


def _image_size(
    shapes: Mapping[str, jax.ShapeDtypeStruct], patch_size: int, like: TimeSformer | None
) -> tuple[int, int] | None:
    """That of ``like`` if it has as many patches, or else a square."""
    if _POSITION not in shapes:
        return like and like.image_size
    patches = shapes[_POSITION].shape[1] - 1
    if like is not None and math.prod(like.token_grid[1:]) == patches:
        return like.image_size
    side = math.isqrt(patches)
    return (side * patch_size, side * patch_size) if side**2 == patches else None
