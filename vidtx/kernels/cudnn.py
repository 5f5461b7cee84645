"""Attention by cuDNN's flash attention, on NVIDIA's GPUs of compute capability 8.0 (Ampere) on.

Called by way of `jax.nn.dot_product_attention`, whose batching rule and masks have limits of their
own (`jax/_src/cudnn/fused_attention_stablehlo.py`): clips and groups are one batch axis here, and
where keys are masked, queries and keys are padded to even numbers, as the backward pass asks.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

_DTYPES = ("bfloat16", "float16")
_HEAD_MULTIPLE, _HEAD_MAX = 8, 128
_CAPABILITY = 8.0


def problems(*, platform: str, head_dim: int, dtype: DTypeLike) -> Iterator[str]:
    """Why cuDNN cannot compute attention, a clause each; nothing where it can.

    Args:
      platform: of the devices: cpu, gpu or tpu.
      head_dim: ``K``.
      dtype: of query, key and value.
    """
    if platform != "gpu":
        yield f"it needs a GPU, but the devices are of platform {platform!r}"
    elif jax.default_backend() == "gpu":
        # ROCm names its architectures, such as gfx90a, where CUDA has a number.
        given = str(getattr(jax.local_devices()[0], "compute_capability", ""))
        known = given.replace(".", "", 1).isdigit()
        if not known or float(given) < _CAPABILITY:
            found = f"compute capability {given}" if known else "no NVIDIA GPU"
            yield f"it needs compute capability {_CAPABILITY}, but the device has {found}"
    name = jnp.dtype(dtype).name
    if name not in _DTYPES:
        yield f"it computes in {' or '.join(_DTYPES)}, but the model in {name}"
    if head_dim % _HEAD_MULTIPLE or head_dim > _HEAD_MAX:
        yield (
            f"it takes heads whose width is a multiple of {_HEAD_MULTIPLE}, {_HEAD_MAX} at most, "
            f"but the model's are {head_dim} wide"
        )


def attend_groups(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    valid: jax.Array | np.ndarray | None = None,
    *,
    implementation: str = "cudnn",
) -> jax.Array:
    """Softmax attention inside every group of every clip, as `vidtx.kernels.attend_groups`.

    Args:
      query: ``[B, G, N, A, K]``.
      key: ``[B, G, M, A, K]``.
      value: ``[B, G, M, A, K]``.
      valid: bool ``[G, M]``, the keys that may be looked at, at least one a group; None for all.
      implementation: of `jax.nn.dot_product_attention`: xla runs everything but the kernel where
        no GPU is.

    Returns:
      ``[B, G, N, A, K]`` in the dtype of ``query``.
    """
    clips, groups, tokens = query.shape[:3]
    mask = None
    if valid is not None:
        query, key, value = (_even(x) for x in (query, key, value))
        valid = jnp.asarray(valid)
        valid = jnp.pad(valid, [(0, 0), (0, key.shape[2] - valid.shape[1])])
        shape = (clips, groups, query.shape[2], key.shape[2])
        mask = jnp.broadcast_to(valid[None, :, None], shape)
        mask = mask.reshape(clips * groups, 1, *shape[2:])
    attended = jax.nn.dot_product_attention(
        *(x.reshape(clips * groups, *x.shape[2:]) for x in (query, key, value)),
        mask=mask,
        implementation=implementation,
    )
    return attended.reshape(query.shape)[:, :, :tokens]


def _even(x: jax.Array) -> jax.Array:
    """``[B, G, N, A, K]`` with a token of zeros at the end where their number is odd."""
    return jnp.pad(x, [(0, 0), (0, 0), (0, x.shape[2] % 2), (0, 0), (0, 0)])
