"""The transformer block: the attention steps of a scheme, then one MLP (Eqs. 2 to 9, 11).

Patches ``[B, T, H, W, D]`` and class tokens ``[B, S, D]`` (``S`` = 1, or ``T`` for space-only) are
streams of their own; only inside the last attention step do they meet.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidtx.kernels import Grouping, Step, grouped_attention
from vidtx.models.layers import Layers, Mlp, drop_path_factor
from vidtx.models.schemes import Scheme

# The two layouts of the residual stream. A step that mixes frames only wants patch positions split
# over devices; every other step, and the MLP, wants frames split.
_FRAMES_SPLIT = ("act_batch", "act_frames", None, None, "act_embed")
_POSITIONS_SPLIT = ("act_batch", None, "act_positions", None, "act_embed")
_CLASS_TOKENS = ("act_batch", None, "act_embed")


def _place_for(step: Step | None, patches: jax.Array) -> jax.Array:
    """Constrains the residual stream, never a branch of it, whose gradient would be gathered."""
    mixes_frames_only = step is not None and step.mixes_frames_only
    return nn.with_logical_constraint(
        patches, _POSITIONS_SPLIT if mixes_frames_only else _FRAMES_SPLIT
    )


class StepAttention(nn.Module):
    """One multi-head self-attention over the groups of a step, with its projections.

    Attributes:
      step: which tokens look at each other.
      num_heads: ``A``.
      drop_path: probability with which the branch of a whole group of a clip is dropped.
      layers: makes its layers.
    """

    step: Step
    num_heads: int
    drop_path: float
    layers: Layers

    @nn.compact
    def __call__(
        self,
        patches: jax.Array,
        class_tokens: jax.Array | None,
        *,
        train: bool,
        clip_index: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Attends within every group.

        Args:
          patches: ``[B, T, H, W, D]``, normalised.
          class_tokens: ``[B, S, D]``, normalised, or None where the step treats patches alone.
          train: whether to drop paths (needs the rng ``dropout``).
          clip_index: int ``[B]``, what each clip's draws depend on; see `drop_path_factor`.

        Returns:
          The residuals of the patches ``[B, T, H, W, D]`` and of the class tokens ``[B, S, D]``:
          with one class token a clip, the mean over its copies in all groups.
        """
        batch, frames, rows, columns, dim = patches.shape
        grouping = Grouping(self.step, (frames, rows, columns))
        qkv = self.layers.dense(3 * dim, ("embed", "qkv"), name="qkv")
        project = self.layers.dense(dim, ("heads", "embed"), name="out")

        class_qkv = None if class_tokens is None else qkv(class_tokens)
        attended, class_attended = grouped_attention(
            qkv(patches), class_qkv, grouping, num_heads=self.num_heads
        )
        attended = project(attended)
        class_attended = None if class_tokens is None else project(class_attended)

        if train and self.drop_path > 0.0:
            groups = len(grouping.group_sizes)
            draws, dtype = (batch, groups, 1), self.layers.dtype
            factor = drop_path_factor(
                self.make_rng("dropout"), self.drop_path, draws, dtype, clip_index
            )
            tokens = max(grouping.group_sizes)
            attended *= grouping.scatter(
                jnp.broadcast_to(factor[:, :, None], (batch, groups, tokens, 1))
            )
            class_attended = None if class_tokens is None else class_attended * factor

        if class_tokens is not None and class_tokens.shape[1] == 1:
            class_attended = class_attended.mean(axis=1, keepdims=True)
        return attended, class_attended


class AddedStep(nn.Module):
    """The residual branch of a step that the image ViT lacks: norm, attention, output layer.

    The output layer starts at zero, so that a model with ViT weights starts as the ViT. A dropped
    path still adds the output layer's bias. Attributes as in `StepAttention`.
    """

    step: Step
    num_heads: int
    drop_path: float
    layers: Layers

    @nn.compact
    def __call__(
        self, patches: jax.Array, *, train: bool, clip_index: jax.Array | None = None
    ) -> jax.Array:
        """The residual ``[B, T, H, W, D]`` of patches ``[B, T, H, W, D]``."""
        dim = patches.shape[-1]
        attention = StepAttention(
            self.step, self.num_heads, self.drop_path, self.layers, name="attention"
        )
        normed = self.layers.norm(name="norm")(patches)
        attended, _ = attention(normed, None, train=train, clip_index=clip_index)
        return self.layers.dense(dim, ("embed", "fc"), name="fc", zero_init=True)(attended)


class Block(nn.Module):
    """One pre-norm block of a scheme.

    Attributes:
      scheme: the attention steps.
      num_heads: ``A``.
      mlp_dim: hidden width of the MLP.
      drop_path: probability of stochastic depth; one draw a group of a clip for attention, one a
        class token for the MLP.
      layers: makes its layers.
    """

    scheme: Scheme
    num_heads: int
    mlp_dim: int
    drop_path: float
    layers: Layers

    @nn.compact
    def __call__(
        self,
        patches: jax.Array,
        class_tokens: jax.Array,
        *,
        train: bool,
        clip_index: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Maps patches ``[B, T, H, W, D]`` and class tokens ``[B, S, D]`` to the same shapes."""
        options = {"num_heads": self.num_heads, "drop_path": self.drop_path, "layers": self.layers}
        for step in self.scheme.added_steps:
            patches = _place_for(step, patches)
            added = AddedStep(step, name=step.name, **options)
            patches += added(patches, train=train, clip_index=clip_index)
        patches = _place_for(None, patches)
        class_tokens = nn.with_logical_constraint(class_tokens, _CLASS_TOKENS)

        norm = self.layers.norm(name="norm1")
        attention = StepAttention(self.scheme.vit_step, name="attention", **options)
        residual, class_residual = attention(
            norm(patches), norm(class_tokens), train=train, clip_index=clip_index
        )
        patches, class_tokens = patches + residual, class_tokens + class_residual

        norm = self.layers.norm(name="norm2")
        mlp = Mlp(self.mlp_dim, self.layers, name="mlp")
        residual, class_residual = mlp(norm(patches)), mlp(norm(class_tokens))
        if train and self.drop_path > 0.0:
            # One draw a sequence of the reference: the clip, or the frame for space-only.
            draws = (*class_tokens.shape[:2], 1)
            factor = drop_path_factor(
                self.make_rng("dropout"), self.drop_path, draws, self.layers.dtype, clip_index
            )
            residual *= factor[:, :, None, None]
            class_residual *= factor
        return patches + residual, class_tokens + class_residual
