"""What files beside weights, or in them, say of the model: to be compared with the weights."""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from vidtx.errors import CheckpointError
from vidtx.weights.values import positive, short_side, sides, three, whole

ATTENTION_TYPES = {
    "divided_space_time": "divided",
    "joint_space_time": "joint",
    "space_only": "space",
}
CHANNEL_ORDERS = ("rgb", "bgr")
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
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
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
            num_frames=whole(data.get("NUM_FRAMES")),
            image_size=sides(data.get("TRAIN_CROP_SIZE")),
            num_classes=whole(model.get("NUM_CLASSES")),
            mean=three(data.get("MEAN")),
            std=positive(data.get("STD")),
            eval_short_side=whole(data.get("TEST_CROP_SIZE")),
            dataset=train.get("DATASET"),
        )
    except (
        yaml.YAMLError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError,
        RecursionError,
    ) as error:  # fmt: skip
        line = str(error).partition("\n")[0]
        return Stated(where, notes=(f"{where} cannot be understood and is left aside: {line}.",))


def _of_transformers(config: Mapping, where: str, processor: Mapping) -> Stated:
    of_images = config.get("model_type") != "timesformer"
    names = [name for _, name in sorted(_labels(config).items())]
    patch = sides(config.get("patch_size"))
    epsilon = config.get("layer_norm_eps", 1e-12 if of_images else _EPSILON)
    note = (
        f"its LayerNorms add {epsilon:g} to the variance, vidtx's {_EPSILON:g}, which changes "
        "scores very little."
    )
    size, crop = processor.get("size"), processor.get("crop_size")
    mean, std = _normalisation(processor)
    recorded = dict((config.get("vidtx") or {}).get("contract") or {})
    return Stated(
        where=where,
        binding=True,
        scheme=ATTENTION_TYPES.get(config.get("attention_type")),
        num_frames=whole(config.get("num_frames")),
        image_size=sides(config.get("image_size")),
        num_classes=len(names) or None,
        embed_dim=whole(config.get("hidden_size")),
        depth=whole(config.get("num_hidden_layers")),
        num_heads=whole(config.get("num_attention_heads")),
        patch_size=patch[0] if patch else None,
        mean=mean,
        std=std,
        eval_short_side=short_side(size) or short_side(crop),
        recorded=recorded,
        class_names=None if all(map(_NO_NAME.fullmatch, names)) else tuple(names),
        problems=(*_problems(config, epsilon, of_images), *_misrecorded(recorded)),
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
    patch = sides(config.get("patch_size"))
    if patch and patch[0] != patch[1]:
        yield f"patch_size is {config['patch_size']}; patches must be square"
    if not of_images and epsilon != _EPSILON:
        yield f"layer_norm_eps is {epsilon:g}; it must be {_EPSILON:g}"


def _misrecorded(recorded: Mapping[str, Any]) -> Iterator[str]:
    """What vidtx cannot have put on record; of what the arrays tell, they count in any case."""

    def number(value: Any) -> bool:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
        )

    def text(value: Any) -> bool:
        return isinstance(value, str)

    for option, fits, wanted in (
        ("data.channel_order", CHANNEL_ORDERS.__contains__, "rgb or bgr"),
        (
            "data.stride",
            lambda value: number(value) and isinstance(value, int),
            "a whole number above 0",
        ),
        (
            "data.target_fps",
            lambda value: value is None or number(value),
            "a number above 0, or null",
        ),
        ("trained_on", ("images",).__contains__, "images"),
        *(
            (name, lambda value: isinstance(value, bool), "true or false")
            for name in ("data.multi_label", "head_is_new")
        ),
        *((name, text, "a text") for name in ("data.sampling", "data.short_videos")),
        *((name, text, "a text") for name in ("dataset", "fingerprint")),
    ):
        if option in recorded and not fits(recorded[option]):
            yield f"vidtx.contract says {option} {recorded[option]!r}; it must be {wanted}"


def _of_timm(config: Mapping, where: str) -> Stated:
    pretrained = config.get("pretrained_cfg") or {}
    pool = config.get("global_pool") or "token"
    size = pretrained.get("input_size")
    activation = (config.get("model_args") or {}).get("act_layer", "gelu")
    return Stated(
        where=where,
        binding=True,
        # Zero classes are a model without a head.
        num_classes=whole(config.get("num_classes", pretrained.get("num_classes"))) or None,
        image_size=sides(size[1:]) if size else None,
        mean=three(pretrained.get("mean")),
        std=positive(pretrained.get("std")),
        problems=tuple(
            problem
            for wrong, problem in (
                (pool != "token", f"global_pool is {pool!r}; it must be the class token, 'token'"),
                (activation not in _GELU, f"act_layer is {activation!r}; it must be 'gelu'"),
            )
            if wrong
        ),
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
        mean, std = three(processor.get("image_mean")), positive(processor.get("image_std"))
    factor = 1.0
    if processor.get("do_rescale", True):
        factor = 255 * processor.get("rescale_factor", 1 / 255)
    else:
        factor = 255.0
    if not 0 < factor < math.inf:
        raise ValueError(f"rescale_factor is {processor['rescale_factor']}; it must be above 0")
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
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Download it again.") from error
    return tree
