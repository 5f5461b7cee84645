"""Mixup and CutMix on the device, between neighbouring rows of a batch.

Mixup: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. CutMix: Yun et al.,
"CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019.

Row ``r`` is mixed with row ``r ^ 1``, and both get the same share of themselves, so that what one
gives away the other keeps. Batches are shuffled, so that neighbours are as good as any; and where
every device holds whole pairs, none of them needs another's rows.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class Mix:
    """How each row of a batch is mixed; leaves have a row each, so that whole pairs may be sliced.

    Attributes:
      share: of the row's own target, and with mixup of its own pixels, float32 ``[B]``.
      box: ``(top, bottom, left, right)`` of what CutMix takes from the partner, in pixels, bottom
        and right excluded; empty with mixup. int32 ``[B, 4]``.
      is_cutmix: whether the row is cut rather than blended, bool ``[B]``.
    """

    share: jax.Array
    box: jax.Array
    is_cutmix: jax.Array


def draw_mix(
    key: jax.Array, batch: int, image_size: tuple[int, int], *, mixup: float, cutmix: float
) -> Mix | None:
    """Draws how the rows of a batch are mixed; the same on every mesh.

    A box has the area ``1 - share`` of the image, its sides in the image's proportion and rounded
    to pixels, round a centre that is any pixel; then it is clipped to the image, and the share set
    to the area that is really kept (Yun et al., algorithm A1, which rounds sides down to even).

    Args:
      key: of the draws.
      batch: number of rows ``B``, even.
      image_size: ``(height, width)`` of the clips.
      mixup: alpha of ``Beta(alpha, alpha)``, from which shares are drawn; 0 for no mixup.
      cutmix: the same for CutMix. With both, each pair draws one of the two, as likely as not.

    Returns:
      The mix, or None if both alphas are 0.

    Raises:
      ValueError: the batch is odd.
    """
    if not mixup and not cutmix:
        return None
    _check_even(batch)
    pairs, (height, width) = batch // 2, image_size
    kind_key, blend_key, cut_key, row_key, column_key = jax.random.split(key, 5)
    is_cutmix = jax.random.bernoulli(kind_key, _cut_probability(mixup, cutmix), (pairs,))

    cut = _draw_share(cut_key, cutmix, pairs)
    side = jnp.sqrt(1 - cut)
    top, bottom = _draw_span(row_key, side, height)
    left, right = _draw_span(column_key, side, width)
    box = jnp.where(is_cutmix[:, None], jnp.stack([top, bottom, left, right], axis=-1), 0)
    kept = 1 - ((bottom - top) * (right - left)).astype(jnp.float32) / (height * width)
    share = jnp.where(is_cutmix, kept, _draw_share(blend_key, mixup, pairs))
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=0), Mix(share, box, is_cutmix))


def mix_clips(clips: jax.Array, mix: Mix) -> jax.Array:
    """Mixes clips: the same way in all frames of a clip.

    Args:
      clips: ``[B, T, height, width, 3]``, floating point, whole pairs of rows.
      mix: of these rows.

    Returns:
      Clips of that shape and dtype; blended in float32.

    Raises:
      ValueError: the rows are odd in number, or not those of the mix.
    """
    partners = _partners(clips, mix)
    rows, columns = jnp.arange(clips.shape[2]), jnp.arange(clips.shape[3])
    top, bottom, left, right = (mix.box[:, i, None] for i in range(4))
    in_rows = (rows >= top) & (rows < bottom)
    in_columns = (columns >= left) & (columns < right)
    inside = (in_rows[:, :, None] & in_columns[:, None, :])[:, None, :, :, None]
    cut = jnp.where(inside, partners, clips)
    share = mix.share[:, None, None, None, None]
    blend = (share * clips + (1 - share) * partners).astype(clips.dtype)
    return jnp.where(mix.is_cutmix[:, None, None, None, None], cut, blend)


def mix_targets(targets: jax.Array, mix: Mix) -> jax.Array:
    """Mixes targets float32 ``[B, C]``, of one class a row or of many, as `mix_clips` does clips.

    Raises:
      ValueError: the rows are odd in number, or not those of the mix.
    """
    partners, share = _partners(targets, mix), mix.share[:, None]
    return share * targets + (1 - share) * partners


def _cut_probability(mixup: float, cutmix: float) -> float:
    if mixup and cutmix:
        return 0.5
    return 1.0 if cutmix else 0.0


def _draw_share(key: jax.Array, alpha: float, pairs: int) -> jax.Array:
    if not alpha:
        return jnp.ones(pairs)
    share = jax.random.beta(key, alpha, alpha, (pairs,))
    # Drawn whole on every device: split over them, the loop that draws would ask all of them, at
    # every turn, whether it is done.
    return nn.with_logical_constraint(share, (None,))


def _draw_span(key: jax.Array, side: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """First and one past the last of ``side * length`` pixels, as far as they are in the image."""
    pixels = jnp.round(side * length).astype(jnp.int32)
    start = jax.random.randint(key, side.shape, 0, length) - pixels // 2
    return jnp.maximum(start, 0), jnp.minimum(start + pixels, length)


def _partners(x: jax.Array, mix: Mix) -> jax.Array:
    """Row ``r ^ 1`` in place of row ``r``."""
    batch, of_mix = x.shape[0], mix.share.shape[0]
    if batch != of_mix:
        raise ValueError(
            f"There are {batch} rows, but the mix is of {of_mix}; slice both to the same rows."
        )
    _check_even(batch)
    return x.reshape(batch // 2, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)


def _check_even(batch: int) -> None:
    if batch % 2:
        raise ValueError(
            f"A batch of {batch} rows cannot be mixed: mixup and CutMix mix neighbouring rows, so "
            "that their number must be even. Change train.global_batch (and train.accumulate, "
            "whose parts hold whole pairs), or set train.mixup=0 and train.cutmix=0."
        )
