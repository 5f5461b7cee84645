"""Named models: ViT sizes Ti, S, B, L and H with any patch size."""

import re
from typing import NamedTuple

import jax.numpy as jnp

from vidtx.models.embedding import POSITION_EMBEDDINGS
from vidtx.models.schemes import get_scheme
from vidtx.models.timesformer import TimeSformer


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
    dtype: str | jnp.dtype = "float32",
    embed_dim: int | None = None,
    depth: int | None = None,
    num_heads: int | None = None,
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
      dtype: ``float32`` or ``bfloat16`` computation.
      embed_dim: ``D``, in place of the size's.
      depth: number of blocks, in place of the size's.
      num_heads: ``A``, in place of the size's.

    Raises:
      ValueError: an argument out of bounds; the message lists all that are.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["size"] not in SIZES:
        raise ValueError(
            f"Unknown model {name!r}: a name is timesformer_ + size ({', '.join(SIZES)}) + patch "
            "size in pixels, such as timesformer_b16."
        )
    size, patch_size = SIZES[match["size"]], int(match["patch"])
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    embed_dim = size.embed_dim if embed_dim is None else embed_dim
    depth = size.depth if depth is None else depth
    num_heads = size.num_heads if num_heads is None else num_heads
    dtype_name = jnp.dtype(dtype).name if dtype not in _DTYPES else dtype

    problems = []
    try:
        get_scheme(scheme)
    except ValueError as error:
        problems.append(str(error))
    for label, value in {
        "num_classes": num_classes,
        "num_frames": num_frames,
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": num_heads,
    }.items():
        if value < 1:
            problems.append(f"{label} is {value}; it must be at least 1.")
    if num_heads >= 1 and embed_dim % num_heads:
        problems.append(f"embed_dim {embed_dim} cannot be divided among {num_heads} heads.")
    for label, pixels in (("height", height), ("width", width)):
        if pixels < patch_size or pixels % patch_size:
            problems.append(
                f"image {label} {pixels} is no multiple of the patch size {patch_size}."
            )
    if not 0.0 <= drop_path < 1.0:
        problems.append(f"drop_path is {drop_path}; it must lie in [0, 1).")
    if position_embedding not in POSITION_EMBEDDINGS:
        problems.append(
            f"Unknown position_embedding {position_embedding!r}: "
            f"it is one of {', '.join(POSITION_EMBEDDINGS)}."
        )
    if dtype_name not in _DTYPES:
        problems.append(f"dtype is {dtype_name}; it must be {' or '.join(_DTYPES)}.")
    if problems:
        raise ValueError("\n".join(problems))

    return TimeSformer(
        scheme=scheme,
        num_classes=num_classes,
        num_frames=num_frames,
        image_size=(height, width),
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        mlp_dim=4 * embed_dim,
        drop_path=drop_path,
        position_embedding=position_embedding,
        dtype=_DTYPES[dtype_name],
    )
