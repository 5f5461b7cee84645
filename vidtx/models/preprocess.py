"""What a model expects of its frames."""

import jax
import jax.numpy as jnp


def normalize(
    frames: jax.Array, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> jax.Array:
    """``(frames / 255 - mean) / std``, channel by channel: uint8 ``[..., 3]`` to float32."""
    return (frames.astype(jnp.float32) / 255.0 - jnp.asarray(mean)) / jnp.asarray(std)
