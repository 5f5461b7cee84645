"""What clips are trained towards, and how far logits are from it."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax


def make_targets(
    batch: Mapping[str, jax.Array], *, num_classes: int, label_smoothing: float, multi_label: bool
) -> jax.Array:
    """The targets of a batch, as the loader gives it.

    Args:
      batch: with ``label`` int32 ``[B]``, or, with ``multi_label``, ``labels`` uint8 ``[B, C]``.
      num_classes: number of classes, C.
      label_smoothing: share of a clip's one that is spread evenly over all classes.
      multi_label: whether clips have any number of classes.

    Returns:
      float32 ``[B, C]``: one at the label, smoothed; or, with ``multi_label``, one at each label.

    Raises:
      ValueError: labels are to be smoothed of which there are any number, or there are not C.
    """
    if not multi_label:
        targets = jax.nn.one_hot(batch["label"], num_classes, dtype=jnp.float32)
        return optax.smooth_labels(targets, label_smoothing)
    labels = batch["labels"]
    if label_smoothing:
        raise ValueError(f"{label_smoothing=} must be 0 where clips have any number of labels.")
    if labels.ndim != 2 or labels.shape[1] != num_classes:
        raise ValueError(f"labels are {list(labels.shape)}; expected [B, {num_classes=}].")
    return labels.astype(jnp.float32)


def losses(logits: jax.Array, targets: jax.Array, *, multi_label: bool) -> jax.Array:
    """The loss of each clip.

    Softmax cross-entropy; with ``multi_label``, sigmoid cross-entropy averaged over the classes, as
    PyTorch's ``BCEWithLogitsLoss`` has it. The average keeps the loss, and with it the learning
    rate that suits, from growing with the number of classes.

    Args:
      logits: float32 ``[B, C]``.
      targets: float32 ``[B, C]``, from `make_targets`; mixed or not.
      multi_label: whether clips have any number of classes.

    Returns:
      float32 ``[B]``.
    """
    if multi_label:
        return optax.sigmoid_binary_cross_entropy(logits, targets).mean(axis=-1)
    return optax.softmax_cross_entropy(logits, targets)
