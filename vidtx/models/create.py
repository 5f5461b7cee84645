"""Named models: ViT sizes Ti, S, B, L and H with any patch size."""

import re
from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

import jax.numpy as jnp

from vidtx.kernels import ATTENTION
from vidtx.models.embedding import POSITION_EMBEDDINGS
from vidtx.models.schemes import SCHEMES
from vidtx.models.timesformer import REMAT, TimeSformer


class Size(NamedTuple):
    """A ViT size: embedding width ``D``, blocks, heads ``A``. The MLP is ``4·D`` wide."""

    embed_dim: int
    depth: int
    num_heads: int


SIZES = {
    "ti": Size(192, 12, 3),
    "s": Size(384, 12, 6),
    "b": Size(768, 12, 12),
    "l": Size(1024, 24, 16),
    "h": Size(1280, 32, 16),
}

_NAME = re.compile(r"timesformer_(?P<size>[a-z]+)(?P<patch>[1-9]\d*)")
_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def create_model(
    name: str,
    *,
    scheme: str = "divided",
    num_classes: int = 400,
    num_frames: int = 8,
    image_size: int | tuple[int, int] = 224,
    drop_path: float = 0.1,
    position_embedding: str = "space_time",
    init_stddev: float = 0.02,
    time_init_stddev: float = 0.0,
    dtype: str | jnp.dtype = "float32",
    embed_dim: int | None = None,
    depth: int | None = None,
    num_heads: int | None = None,
    attention: str = "auto",
    remat: str = "none",
    scan_layers: bool = False,
    platform: str | None = None,
) -> TimeSformer:
    """A model by name, such as ``timesformer_b16``: size (ti, s, b, l, h), then patch size.

    Args:
      name: ``timesformer_`` + size + patch size in pixels.
      scheme: space, joint, divided, sparse_local_global or axial.
      num_classes: ``C``.
      num_frames: frames of a training clip.
      image_size: pixels of a training clip's side, or ``(height, width)``.
      drop_path: stochastic depth of the last block, in [0, 1).
      position_embedding: ``none``, ``space`` or ``space_time`` (Table 4).
      init_stddev: with which kernels, position embedding and class token start. 0.02 suits widths
        from about 400 on; a narrow model that is trained from scratch learns far sooner from
        1/√(embed_dim), as its blocks hardly do anything otherwise.
      time_init_stddev: the same of the time embedding. 0, the published value, leaves an image
        model's function as it is; from scratch a larger one tells frames apart from the start.
      dtype: ``float32`` or ``bfloat16`` computation.
      embed_dim: ``D``, in place of the size's.
      depth: number of blocks, in place of the size's.
      num_heads: ``A``, in place of the size's.
      attention: what computes it: xla, splash (TPU), cudnn (GPU), or auto, which picks for each
        step.
      remat: what the backward pass computes again to save memory: none, products (all but the
        products with weights) or full (every block from its input).
      scan_layers: compile one block for all of them; parameters are the same.
      platform: of the devices that it will run on, cpu, gpu or tpu; None for JAX's default.

    Raises:
      ValueError: an argument out of bounds; the message lists all that are.
    """
    problems = []
    match = _NAME.fullmatch(str(name))
    if match is None or match["size"] not in SIZES:
        problems.append(
            f"Unknown model {name!r}: a name is timesformer_ + size ({', '.join(SIZES)}) + patch "
            "size in pixels, such as timesformer_b16."
        )
        match = {"size": "b", "patch": 1}  # as good as any, to see what else is wrong
    size, patch_size = SIZES[match["size"]], int(match["patch"])
    sides = image_size if isinstance(image_size, Sequence) else (image_size, image_size)
    counts = {
        "num_classes": num_classes,
        "num_frames": num_frames,
        "embed_dim": size.embed_dim if embed_dim is None else embed_dim,
        "depth": size.depth if depth is None else depth,
        "num_heads": size.num_heads if num_heads is None else num_heads,
    }

    for label, value in counts.items():
        if not _is_count(value):
            problems.append(f"{label} is {value!r}; it must be a whole number of at least 1.")
    if all(map(_is_count, counts.values())) and counts["embed_dim"] % counts["num_heads"]:
        problems.append(
            f"embed_dim {counts['embed_dim']} cannot be divided among {counts['num_heads']} heads; "
            "change either."
        )
    if len(sides) != 2 or not all(_is_count(side) for side in sides):
        problems.append(
            f"image_size is {image_size!r}; it must be a number of pixels or (height, width)."
        )
    else:
        problems.extend(
            f"image {label} {side} is no multiple of the patch size {patch_size}; the nearest that "
            f"is: {max(1, round(side / patch_size)) * patch_size}."
            for label, side in zip(("height", "width"), sides, strict=True)
            if side % patch_size
        )
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        problems.append(f"Unknown attention scheme {scheme!r}: it is one of {', '.join(SCHEMES)}.")
    if not 0.0 <= drop_path < 1.0:
        problems.append(f"drop_path is {drop_path}; it must lie in [0, 1).")
    for label, value in (
        ("init_stddev", init_stddev),
        ("time_init_stddev", time_init_stddev),
    ):
        if not 0.0 <= value < float("inf"):
            problems.append(f"{label} is {value}; it must be finite and not below 0.")
    if position_embedding not in POSITION_EMBEDDINGS:
        problems.append(
            f"Unknown position_embedding {position_embedding!r}: "
            f"it is one of {', '.join(POSITION_EMBEDDINGS)}."
        )
    compute = next((_DTYPES[key] for key in _DTYPES if dtype in (key, _DTYPES[key])), None)
    if compute is None:
        problems.append(f"dtype is {dtype!r}; it must be {' or '.join(_DTYPES)}.")
    if attention not in ATTENTION:
        problems.append(f"attention is {attention!r}; it must be one of {', '.join(ATTENTION)}.")
    if remat not in REMAT:
        problems.append(f"remat is {remat!r}; it must be one of {', '.join(REMAT)}.")
    if problems:
        raise ValueError("\n".join(problems))

    return TimeSformer(
        scheme=scheme,
        image_size=tuple(int(side) for side in sides),
        patch_size=patch_size,
        mlp_dim=4 * counts["embed_dim"],
        drop_path=drop_path,
        position_embedding=position_embedding,
        init_stddev=init_stddev,
        time_init_stddev=time_init_stddev,
        dtype=compute,
        attention=attention,
        remat=remat,
        scan_layers=scan_layers,
        platform=platform,
        **{label: int(value) for label, value in counts.items()},
    )


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1
