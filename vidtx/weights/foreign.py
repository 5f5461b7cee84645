"""Files of other libraries into vidtx's names."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vidtx.errors import ConfigError, VidtxError
from vidtx.weights.examine import best_match, check, entries, wrapped_images
from vidtx.weights.files import SUFFIXES, open_weights, weights_file
from vidtx.weights.infer import Inference
from vidtx.weights.report import Report
from vidtx.weights.source import MEAN, STD, Architecture, Source
from vidtx.weights.stated import CHANNEL_ORDERS, Stated, stated_in_cfg, stated_in_folder

_SOMETHING_SOMETHING = 174  # its classes
_UNTRAINED = ("head_is_new", "trained_on")  # of a contract: true until somebody trains the weights
_WRAPPED = (
    "its names begin with model., as those of a TimeSformer's checkpoints and of many programs "
    "that train image models; without a time embedding it is read as an image model. A TimeSformer "
    'of space_only is read as one from a file of PyTorch with its weights under "model_state".'
)


def is_foreign(path: str | os.PathLike) -> bool:
    """Whether a path is of weights of another library, by its name: nothing is opened.

    Args:
      path: a file, by the end of its name, or a folder that holds such files.
    """
    path = pathlib.Path(path).expanduser()
    try:
        if path.is_dir():
            return weights_file(path) is not None
    except VidtxError:  # several of them, one of which must be named
        return True
    ends = (*SUFFIXES, *(f"{suffix}.index.json" for suffix in SUFFIXES))
    return path.is_file() and path.name.endswith(ends)


def read_foreign(
    path: str | os.PathLike,
    *,
    num_heads: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    channel_order: str | None = None,
    likely_heads: int | None = None,
    shapes_only: bool = False,
) -> Source:
    """Reads weights that another library wrote, every key of theirs accounted for.

    Of image models: Google's JAX ViT (``.npz``), timm's ViT and DeiT, Hugging Face's ViT. Of
    TimeSformer: official checkpoints and Hugging Face's. The layout is told by the names of the
    arrays, sizes by their shapes; a ``config.json`` beside them is held against both.

    Args:
      path: a file, an index of shards, or a folder as libraries save models in.
      num_heads: of attention, where nothing tells.
      image_size: pixels of a side, or ``(height, width)``, that the weights are for; None for what
        a config says, or a square.
      channel_order: ``rgb`` or ``bgr``, in which a TimeSformer wants its clips; None for bgr where
        it is of Something-Something V2, whose published models were trained so, and rgb else.
      likely_heads: of attention, where nothing tells and they would be guessed, as 64 wide.
      shapes_only: give `jax.ShapeDtypeStruct` in the place of arrays, and read none.

    Returns:
      The weights, float32. Of an image model the contract says how its pictures were prepared, as
      far as that is stated.

    Raises:
      ConfigError: there is no such path, or several files that may be meant; or a wrong argument.
      CheckpointError: the file is damaged, holds no weights, or weights of a model that vidtx does
        not have; all offenders are listed.
      MachineError: the file needs PyTorch, which is not installed.
    """
    sides = _checked(num_heads, image_size, channel_order)
    found = open_weights(path)
    cfg = found.extras.get("cfg")
    stated = stated_in_cfg(cfg) if isinstance(cfg, str) else Stated()
    match = best_match(found, says_timesformer=stated.scheme is not None)
    if found.folder is not None:
        beside = stated_in_folder(found.folder)
        stated = beside if beside.binding else stated
    inference = Inference(
        match,
        {key: array.shape for key, array in found.arrays.items()},
        stated,
        num_heads,
        sides,
        likely_heads,
    )
    ours = check(found, match, inference)
    architecture = inference.architecture()
    notes = [*filter(None, [match.layout.note]), *stated.notes, *inference.notes]
    if wrapped_images(match):
        notes.append(_WRAPPED)
    contract = {}
    if not architecture.is_image_model:
        contract = _contract(architecture, stated, channel_order, notes)
    else:
        contract = {"trained_on": "images", "data.channel_order": "rgb"}
        if stated.mean and stated.std:
            contract |= {"data.mean": stated.mean, "data.std": stated.std}
        if channel_order is not None:
            notes.append(
                "an image model asks for no order of channels; channel_order has no effect."
            )
    report = Report(tuple(entries(found, match, ours)), tuple(map(_sentence, notes)))
    by_ours = {entry.ours: entry.theirs for entry in report.entries if entry.ours is not None}
    params: dict[str, Any] = {}
    for name, shape in ours.items():
        if shapes_only:
            params[name] = jax.ShapeDtypeStruct(shape, np.float32)
        else:
            theirs = [found.arrays[key].read() for key in by_ours[name]]
            params[name] = match.layout.read(name, theirs)
    if contract.get("head_is_new"):
        keys = by_ours.get("head.bias", ())
        # It begins at zero. Other programs train what vidtx wrote, and keep its record as it was.
        if any(np.any(found.arrays[key].read()) for key in keys):
            contract = {name: contract[name] for name in contract if name not in _UNTRAINED}
    return Source(str(path), match.layout.title, params, architecture, report, contract)


def _contract(
    architecture: Architecture, stated: Stated, channel_order: str | None, notes: list[str]
) -> dict[str, Any]:
    """What a TimeSformer asks of its clips, by the keys of `vidtx.run.contract`."""
    mean, std = stated.mean or [MEAN] * 3, stated.std or [STD] * 3
    if (mean, std) != ([MEAN] * 3, [STD] * 3) and not stated.recorded:
        notes.append(
            f"clips are prepared with mean {mean} and deviation {std}, as is stated with the "
            f"weights; the authors trained with {MEAN} and {STD}."
        )
    channel_order = channel_order or stated.recorded.get("data.channel_order")
    if channel_order is None:
        channel_order = "rgb"
        dataset = str(stated.dataset).lower()
        unsaid = stated.dataset is None and architecture.num_classes == _SOMETHING_SOMETHING
        if dataset.startswith(("ssv2", "something")) or unsaid:
            channel_order = "bgr"
            notes.append(
                "the weights are taken to be of Something-Something V2, whose published models "
                "were trained on channels in the order blue, green, red: data.channel_order is "
                'bgr. channel_order="rgb" says otherwise.'
            )
    contract = {
        "data.mean": mean,
        "data.std": std,
        "data.channel_order": channel_order,
        "data.frames": architecture.num_frames,
        "data.image_size": list(architecture.image_size),
        "data.eval_short_side": stated.eval_short_side or min(architecture.image_size),
        "model.name": architecture.name,
        "model.scheme": architecture.scheme,
        "model.position_embedding": architecture.position_embedding,
        "model.embed_dim": architecture.embed_dim,
        "model.depth": architecture.depth,
        "model.num_heads": architecture.num_heads,
    }
    # Of classes and sizes the config says what is so now, in words that transformers knows.
    recorded = {name: value for name, value in stated.recorded.items() if name != "class_names"}
    if stated.class_names is not None and architecture.num_classes is not None:
        contract["class_names"] = list(stated.class_names)
    return recorded | contract


def _checked(num_heads: Any, image_size: Any, channel_order: str | None) -> tuple[int, int] | None:
    problems = []
    if num_heads is not None and not _is_count(num_heads):
        problems.append(f"num_heads is {num_heads!r}; it must be a whole number of at least 1.")
    sides = image_size
    if image_size is not None:
        sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
        if len(sides) != 2 or not all(map(_is_count, sides)):
            problems.append(
                f"image_size is {image_size!r}; it must be a number of pixels or (height, width)."
            )
    if channel_order not in (None, *CHANNEL_ORDERS):
        problems.append(
            f"channel_order is {channel_order!r}; it must be {' or '.join(CHANNEL_ORDERS)}."
        )
    if problems:
        raise ConfigError("\n".join(problems))
    return sides


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:]
