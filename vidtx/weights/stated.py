"""What files beside weights, or in them, say of the model: to be compared with the weights."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from vidtx.errors import CheckpointError

ATTENTION_TYPES = {
    "divided_space_time": "divided",
    "joint_space_time": "joint",
    "space_only": "space",
}
_EPSILON = 1e-6  # of our LayerNorms
_GELU = ("gelu", "gelu_python")  # the exact one; others approximate it
_NO_NAME = re.compile(r"LABEL_\d+")


@dataclasses.dataclass(frozen=True)
class Stated:
    """What is said of a model; None where nothing is.

    Attributes:
      where: by what, for a person.
      binding: whether weights that contradict it are refused; if not, they are right.
      scheme, num_frames, image_size, num_classes, embed_dim, depth, num_heads, patch_size: as in
        `vidtx.weights.Architecture`.
      mean, std: a number a channel, with which ``(pixels / 255 - mean) / std`` prepares clips.
      eval_short_side: pixels to which the shorter side is resized for evaluation.
      class_names: real ones, in the order of the head.
      dataset: what it was trained on.
      recorded: what vidtx put on record as it wrote the files, by keys of `vidtx.run.contract`.
      problems: what our model cannot have, a sentence each.
      notes: what a person should know, a sentence each.
    """

    where: str = "nothing"
    binding: bool = False
    scheme: str | None = None
    num_frames: int | None = None
    image_size: tuple[int, int] | None = None
    num_classes: int | None = None
    embed_dim: int | None = None
    depth: int | None = None
    num_heads: int | None = None
    patch_size: int | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    eval_short_side: int | None = None
    class_names: tuple[str, ...] | None = None
    dataset: str | None = None
    recorded: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def stated_in_folder(folder: pathlib.Path) -> Stated:
    """What ``config.json`` and the preprocessor's say, of transformers or of timm.

    Raises:
      CheckpointError: one of them is damaged.
    """
    path = folder / "config.json"
    config = _json(path)
    if config is None:
        return Stated()
    try:
        if "architecture" in config:
            return _of_timm(config, str(path))
        return _of_transformers(config, str(path), _preprocessor(folder))
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise CheckpointError(
            f"{path}, or the preprocessor's config beside it, cannot be understood ({error!r}): "
            "download it again, or name the file of weights under another name without it."
        ) from error


def stated_in_cfg(cfg: str) -> Stated:
    """What the ``cfg`` of an official checkpoint says.

    Args:
      cfg: a text in YAML.
    """
    where = "the file's cfg"
    try:
        tree = yaml.safe_load(cfg)
        model, data, train = (tree.get(name) or {} for name in ("MODEL", "DATA", "TRAIN"))
        kind = (tree.get("TIMESFORMER") or {}).get("ATTENTION_TYPE")
        return Stated(
            where=where,
            scheme=ATTENTION_TYPES.get(kind),
            num_frames=_whole(data.get("NUM_FRAMES")),
            image_size=_sides(data.get("TRAIN_CROP_SIZE")),
            num_classes=_whole(model.get("NUM_CLASSES")),
            mean=_three(data.get("MEAN")),
            std=_three(data.get("STD")),
            eval_short_side=_whole(data.get("TEST_CROP_SIZE")),
            dataset=train.get("DATASET"),
        )
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        line = str(error).partition("\n")[0]
        return Stated(where, notes=(f"{where} cannot be understood and is left aside: {line}.",))


def _of_transformers(config: Mapping, where: str, processor: Mapping) -> Stated:
    of_images = config.get("model_type") != "timesformer"
    names = [name for _, name in sorted(_labels(config).items())]
    patch = _sides(config.get("patch_size"))
    epsilon = config.get("layer_norm_eps", 1e-12 if of_images else _EPSILON)
    note = (
        f"its LayerNorms add {epsilon:g} to the variance, vidtx's {_EPSILON:g}, which changes "
        "scores very little."
    )
    size, crop = processor.get("size"), processor.get("crop_size")
    mean, std = _normalisation(processor)
    return Stated(
        where=where,
        binding=True,
        scheme=ATTENTION_TYPES.get(config.get("attention_type")),
        num_frames=_whole(config.get("num_frames")),
        image_size=_sides(config.get("image_size")),
        num_classes=len(names) or None,
        embed_dim=_whole(config.get("hidden_size")),
        depth=_whole(config.get("num_hidden_layers")),
        num_heads=_whole(config.get("num_attention_heads")),
        patch_size=patch[0] if patch else None,
        mean=mean,
        std=std,
        eval_short_side=_short_side(size) or _short_side(crop),
        recorded=dict((config.get("vidtx") or {}).get("contract") or {}),
        class_names=None if all(map(_NO_NAME.fullmatch, names)) else tuple(names),
        problems=tuple(_problems(config, epsilon, of_images)),
        notes=(note,) if of_images and epsilon != _EPSILON else (),
    )


def _problems(config: Mapping, epsilon: float, of_images: bool) -> Iterator[str]:
    """What our model cannot have, of a config of transformers."""
    kind = config.get("attention_type")
    if not of_images and kind is not None and kind not in ATTENTION_TYPES:
        yield f"attention_type is {kind!r}; it must be one of {', '.join(ATTENTION_TYPES)}"
    activation = config.get("hidden_act", "gelu")
    if activation not in _GELU:
        yield f"hidden_act is {activation!r}; vidtx's MLPs have the exact GELU, 'gelu'"
    if not config.get("qkv_bias", True):
        yield "qkv_bias is false; vidtx's attention has biases"
    if config.get("num_channels", 3) != 3:
        yield f"num_channels is {config['num_channels']}; it must be 3"
    width, hidden = config.get("hidden_size"), config.get("intermediate_size")
    if width and hidden and hidden != 4 * width:
        yield f"intermediate_size is {hidden}; it must be 4 · hidden_size, {4 * width}"
    patch = _sides(config.get("patch_size"))
    if patch and patch[0] != patch[1]:
        yield f"patch_size is {config['patch_size']}; patches must be square"
    if not of_images and epsilon != _EPSILON:
        yield f"layer_norm_eps is {epsilon:g}; it must be {_EPSILON:g}"


def _of_timm(config: Mapping, where: str) -> Stated:
    pretrained = config.get("pretrained_cfg") or {}
    pool = config.get("global_pool") or "token"
    mean, std = _three(pretrained.get("mean")), _three(pretrained.get("std"))
    note = f"it was trained on pictures prepared with mean {mean} and deviation {std}."
    size = pretrained.get("input_size")
    activation = (config.get("model_args") or {}).get("act_layer", "gelu")
    return Stated(
        where=where,
        binding=True,
        # Zero classes are a model without a head.
        num_classes=_whole(config.get("num_classes", pretrained.get("num_classes"))) or None,
        image_size=_sides(size[1:]) if size else None,
        problems=tuple(
            problem
            for wrong, problem in (
                (pool != "token", f"global_pool is {pool!r}; it must be the class token, 'token'"),
                (activation not in _GELU, f"act_layer is {activation!r}; it must be 'gelu'"),
            )
            if wrong
        ),
        notes=(note,) if mean and std else (),
    )


def _preprocessor(folder: pathlib.Path) -> Mapping:
    # transformers 5 keeps the latter beside the former, or in its place.
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        config = _json(folder / name)
        if config is not None:
            return config
    return {}


def _normalisation(processor: Mapping) -> tuple[list[float] | None, list[float] | None]:
    """Mean and deviation for pixels that were divided by 255."""
    if not processor:
        return None, None
    mean, std = [0.0] * 3, [1.0] * 3
    if processor.get("do_normalize", True):
        mean, std = _three(processor.get("image_mean")), _three(processor.get("image_std"))
    factor = 1.0
    if processor.get("do_rescale", True):
        factor = 255 * processor.get("rescale_factor", 1 / 255)
    else:
        factor = 255.0
    if mean is None or std is None or abs(factor - 1) < 1e-6:
        return mean, std
    return [value / factor for value in mean], [value / factor for value in std]


def _labels(config: Mapping) -> dict[int, str]:
    return {int(key): str(name) for key, name in (config.get("id2label") or {}).items()}


def _json(path: pathlib.Path) -> Mapping | None:
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(tree, dict):
            raise ValueError(f"it holds one {type(tree).__name__}")
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Download it again.") from error
    return tree


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _sides(value: Any) -> tuple[int, int] | None:
    """``(height, width)`` of one number for both, two numbers, or the two by name."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return int(value["height"]), int(value["width"])
    height, width = value if isinstance(value, list | tuple) else (value, value)
    return int(height), int(width)


def _short_side(size: Any) -> int | None:
    if isinstance(size, Mapping) and "shortest_edge" in size:
        return int(size["shortest_edge"])
    sides = _sides(size)
    return None if sides is None else min(sides)


def _three(value: Any) -> list[float] | None:
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3:
        raise ValueError(f"{values} is not a number for each of three channels")
    return [float(one) for one in values]
