"""What a model expects of its frames."""

import jax
import jax.numpy as jnp


def normalize(
    frames: jax.Array,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    channel_order: str = "rgb",
) -> jax.Array:
    """``(frames / 255 - mean) / std``, channel by channel: uint8 ``[..., 3]`` to float32.

    Args:
      frames: uint8 ``[..., 3]``, red, green, blue.
      mean: of each channel, in the order in which the model is fed.
      std: the same.
      channel_order: in which the model is fed, ``rgb`` or ``bgr``.

    Returns:
      float32 ``[..., 3]``, in that order.
    """
    if channel_order == "bgr":
        frames = frames[..., ::-1]
    return (frames.astype(jnp.float32) / 255.0 - jnp.asarray(mean)) / jnp.asarray(std)
