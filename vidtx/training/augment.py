"""From the loader's uint8 frames to the clips that the model is fed, on the device.

What is random is drawn for each row of a whole batch first, and done to the rows afterwards, so
that a batch that is taken in parts is treated as the whole one.
"""

import flax.struct
import jax
import jax.numpy as jnp

from vidtx.config import RunSpec
from vidtx.models import normalize
from vidtx.training.mixing import Mix, draw_mix, mix_clips, mix_targets


@flax.struct.dataclass
class Draws:
    """What a step draws for each row of its batch.

    Attributes:
      rows: numbers of the rows, int32 ``[B]``.
      mirrored: whether the clip is mirrored, bool ``[B]``, or None where none is.
      mix: how each pair of neighbouring rows is mixed, or None.
    """

    rows: jax.Array
    mirrored: jax.Array | None
    mix: Mix | None


def step_key(seed: int, step: int | jax.Array, name: str) -> jax.Array:
    """The key of one use of randomness in a step: a function of seed, step and name.

    Args:
      seed: of the run.
      step: number of the state that the step starts from.
      name: ``flip``, ``mix`` or ``drop_path``.
    """
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.random.fold_in(key, ("flip", "drop_path", "mix").index(name))


def draw(spec: RunSpec, step: int | jax.Array, batch: int) -> Draws:
    """What step ``step`` of a run does to the ``batch`` rows of its batch."""
    mirrored = None
    if spec.data.flip:
        mirrored = jax.random.bernoulli(step_key(spec.seed, step, "flip"), shape=(batch,))
    mix = draw_mix(
        step_key(spec.seed, step, "mix"),
        batch,
        spec.data.image_size,
        mixup=spec.train.mixup,
        cutmix=spec.train.cutmix,
    )
    return Draws(jnp.arange(batch, dtype=jnp.int32), mirrored, mix)


def augment(
    frames: jax.Array, targets: jax.Array, draws: Draws, spec: RunSpec
) -> tuple[jax.Array, jax.Array]:
    """Normalises training clips, mirrors some of them and mixes neighbours.

    Args:
      frames: uint8 ``[B, T, height, width, 3]``, RGB.
      targets: float32 ``[B, C]``.
      draws: of these rows.
      spec: the run.

    Returns:
      The clips, float32 ``[B, T, height, width, 3]``, in the run's order of channels, and their
      targets, float32 ``[B, C]``.
    """
    clips = normalize(frames, spec.data.mean, spec.data.std, spec.data.channel_order)
    if draws.mirrored is not None:
        mirrored = draws.mirrored[:, None, None, None, None]
        clips = jnp.where(mirrored, clips[:, :, :, ::-1], clips)
    if draws.mix is not None:
        clips, targets = mix_clips(clips, draws.mix), mix_targets(targets, draws.mix)
    return clips, targets
