"""From the loader's uint8 frames to the clips that the model is fed, on the device."""

import jax

from vidtx.config import DataSpec
from vidtx.models import normalize


def step_keys(seed: int, step: int | jax.Array) -> tuple[jax.Array, jax.Array]:
    """The random keys of a step, for flips and for stochastic depth: functions of seed and step."""
    flip, dropout = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))
    return flip, dropout


def preprocess(frames: jax.Array, spec: DataSpec, key: jax.Array) -> jax.Array:
    """Normalises training clips and, where the config says so, mirrors half of them.

    Args:
      frames: uint8 ``[B, T, height, width, 3]``.
      spec: the data's options.
      key: of the flips.

    Returns:
      float32 ``[B, T, height, width, 3]``.
    """
    clips = normalize(frames, spec.mean, spec.std)
    if not spec.flip:
        return clips
    mirrored = jax.random.bernoulli(key, shape=(clips.shape[0], 1, 1, 1, 1))
    return jax.numpy.where(mirrored, clips[:, :, :, ::-1], clips)
