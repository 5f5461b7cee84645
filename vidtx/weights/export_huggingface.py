"""Folders that transformers' TimesformerForVideoClassification loads, written without PyTorch."""

import json
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from vidtx.errors import ConfigError, MachineError
from vidtx.models import TimeSformer
from vidtx.weights import stated
from vidtx.weights.layouts import LAYOUTS
from vidtx.weights.report import Entry
from vidtx.weights.source import MEAN, STD, Array

__all__ = [
    "ATTENTION_TYPES",
    "check_exportable",
    "export_huggingface",
    "export_notes",
    "zero_tables",
]

# Our schemes, and the names that transformers has for them; it has no others.
ATTENTION_TYPES = {ours: theirs for theirs, ours in stated.ATTENTION_TYPES.items()}

_BILINEAR = 2  # of PIL.Image.Resampling, by which the configs of transformers go


def check_exportable(model: TimeSformer) -> None:
    """Refuses a model that transformers cannot hold, for all reasons at once.

    Raises:
      ConfigError: its scheme or the shape of its frames is none that transformers has.
    """
    problems = list(_problems(model))
    if problems:
        listing = "\n".join(f"  - {problem}" for problem in problems)
        raise ConfigError(f"transformers cannot hold this model:\n{listing}\nNothing was written.")


def _problems(model: TimeSformer) -> Iterator[str]:
    if model.scheme not in ATTENTION_TYPES:
        yield (
            f"the attention scheme is {model.scheme!r}; its TimeSformer has "
            f"{', '.join(ATTENTION_TYPES)} alone. Keep such weights as a vidtx checkpoint "
            "(to=vidtx), or take one of those schemes (scheme=divided) and train it: what a "
            "scheme's added steps have learnt has no place in another one."
        )
    height, width = model.image_size
    if height != width:
        yield (
            f"the image size is {height}×{width}; its layers divide image_size by the patch size "
            "and so need one number, a square. Take the side of a square, such as "
            f"image_size={min(height, width)}: the position embedding is resized."
        )


def zero_tables(model: TimeSformer) -> dict[str, tuple[np.ndarray, Entry]]:
    """Embeddings that transformers always adds, and a model may be without: zeros, which add none.

    Args:
      model: one that `check_exportable` lets pass.

    Returns:
      Float32 arrays by our names, with their entries of the report.
    """
    frames, rows, columns = model.token_grid
    has_position = model.position_embedding != "none"
    has_time = model.position_embedding == "space_time" and model.scheme != "space"
    tables = {}
    if not has_position:
        tables["embedding.position"] = (1, 1 + rows * columns, model.embed_dim)
    if not has_time and model.scheme != "space":
        tables["embedding.time"] = (1, frames, model.embed_dim)
    how = (
        f"zeros, as position_embedding is {model.position_embedding!r} and transformers adds a "
        "table in any case"
    )
    return {
        name: (np.zeros(shape, np.float32), Entry("new", name, (), how))
        for name, shape in tables.items()
    }


def export_notes(model: TimeSformer, contract: Mapping[str, Any]) -> tuple[str, ...]:
    """What whoever uses an exported folder should know, a sentence each.

    Args:
      model: the model.
      contract: of its weights, with the keys of `vidtx.run.contract`.
    """
    notes = []
    if contract.get("data.channel_order") == "bgr":
        notes.append(
            "These weights want their channels in the order blue, green, red, which no processor "
            "of transformers does: feed it frames[..., ::-1], the "
            "means and deviations being in that order already."
        )
    if "data.mean" not in contract:
        notes.append(
            "No mean and deviation of clips go with these weights: "
            f"preprocessor_config.json says mean {MEAN} and deviation {STD}, those of the "
            "authors' video models. An image model mostly has others: write its own there to feed "
            "it as it was trained."
        )
    if model.scheme == "space" and model.num_frames > 1:
        notes.append(
            "transformers returns a row of logits for every frame of a space_only model, and never "
            "averages frames: its logits are not those of this model."
        )
    if model.scheme == "divided":
        notes.append(
            f"Feed transformers exactly {model.num_frames} frames: with other numbers its divided "
            "attention mixes up frames and places, mostly without an error."
        )
    return tuple(notes)


def export_huggingface(
    folder: str | os.PathLike,
    model: TimeSformer,
    params: Mapping[str, Array],
    contract: Mapping[str, Any],
) -> None:
    """Writes ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``.

    What the format has no words for, such as the stride of frames, is under ``vidtx`` in
    ``config.json``: transformers keeps such keys, and vidtx reads them again.

    Args:
      folder: that exists.
      model: one that `check_exportable` lets pass.
      params: by our names, such as ``block_0.mlp.fc1.kernel``: those of the model, which are
        written as float32.
      contract: of these weights, with the keys of `vidtx.run.contract`.

    Raises:
      MachineError: the file of weights cannot be written.
      OSError: another one cannot.
    """
    folder = pathlib.Path(folder)
    full = dict(params) | {name: table for name, (table, _) in zero_tables(model).items()}
    tensors = LAYOUTS["hf_timesformer"].write(full)
    # Strides are lost on the way into the file, so that each is laid out in order first.
    tensors = {name: np.ascontiguousarray(leaf, np.float32) for name, leaf in tensors.items()}
    path = folder / "model.safetensors"
    try:
        safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    except safetensors.SafetensorError as error:  # of any cause, the storage's too
        raise MachineError(
            f"{path} cannot be written: {error}. Free space, or choose another place."
        ) from error
    _write_json(folder / "config.json", _config(model, contract))
    # Its own file is readable by its owner alone.
    path.chmod(stat.S_IMODE((folder / "config.json").stat().st_mode))
    _write_json(folder / "preprocessor_config.json", _processor(model, contract))


def _config(model: TimeSformer, contract: Mapping[str, Any]) -> dict[str, Any]:
    names = contract.get("class_names") or [f"LABEL_{row}" for row in range(model.num_classes)]
    config = {
        "architectures": ["TimesformerForVideoClassification"],
        "model_type": "timesformer",
        "attention_type": ATTENTION_TYPES[model.scheme],
        "image_size": model.image_size[0],
        "patch_size": model.patch_size,
        "num_channels": 3,
        "num_frames": model.num_frames,
        "hidden_size": model.embed_dim,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.num_heads,
        "intermediate_size": model.mlp_dim,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "drop_path_rate": 0,  # it refuses fractions
        "initializer_range": model.init_stddev,
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
        "id2label": {str(row): name for row, name in enumerate(names)},
        "label2id": {name: row for row, name in enumerate(names)},
    }
    if contract.get("data.multi_label"):
        config["problem_type"] = "multi_label_classification"
    recorded = dict(contract)
    if zero_tables(model):  # the folder has them, and so has the model that is read from it
        recorded["model.position_embedding"] = "space_time"
    return config | {"vidtx": {"contract": recorded}}


def _processor(model: TimeSformer, contract: Mapping[str, Any]) -> dict[str, Any]:
    height, width = model.image_size
    return {
        "image_processor_type": "VideoMAEImageProcessor",
        "video_processor_type": "TimesformerVideoProcessor",
        "do_resize": True,
        "size": {"shortest_edge": int(contract.get("data.eval_short_side", min(height, width)))},
        "resample": _BILINEAR,
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": _three(contract.get("data.mean", MEAN)),
        "image_std": _three(contract.get("data.std", STD)),
    }


def _three(value: float | Sequence[float]) -> list[float]:
    return [float(one) for one in (value if isinstance(value, Sequence) else [value] * 3)]


def _write_json(path: pathlib.Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")
