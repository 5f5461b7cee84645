"""The transformer block: the attention steps of a scheme, then one MLP (Eqs. 2 to 9, 11).

Patches ``[B, T, H, W, D]`` and class tokens ``[B, S, D]`` (``S`` = 1, or ``T`` for space-only) are
streams of their own; only inside the last attention step do they meet.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from vidtx.kernels import Step
from vidtx.models import placement
from vidtx.models.attention import StepAttention
from vidtx.models.layers import DropPath, Layers, Mlp
from vidtx.models.schemes import Scheme


class AddedStep(nn.Module):
    """The residual branch of a step that the image ViT lacks: norm, attention, output layer.

    The output layer starts at zero, so that a model with ViT weights starts as the ViT. A dropped
    path still adds the output layer's bias. Attributes as in `StepAttention`.
    """

    step: Step
    num_heads: int
    layers: Layers

    @nn.compact
    def __call__(self, patches: jax.Array, *, drop_path: DropPath | None = None) -> jax.Array:
        """The residual ``[B, T, H, W, D]`` of patches ``[B, T, H, W, D]``."""
        attention = StepAttention(self.step, self.num_heads, self.layers, name="attention")
        normed = self.layers.norm(name="norm")(patches)
        attended, _ = attention(normed, None, drop_path=drop_path)
        output = self.layers.dense(patches.shape[-1], ("embed", "fc"), name="fc", zero_init=True)
        return output(attended)


class Block(nn.Module):
    """One pre-norm block of a scheme.

    Attributes:
      scheme: the attention steps.
      num_heads: ``A``.
      mlp_dim: hidden width of the MLP.
      layers: makes its layers.
    """

    scheme: Scheme
    num_heads: int
    mlp_dim: int
    layers: Layers

    @nn.compact
    def __call__(
        self, patches: jax.Array, class_tokens: jax.Array, drop_path: DropPath | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Maps patches and class tokens to the same shapes.

        Args:
          patches: ``[B, T, H, W, D]``.
          class_tokens: ``[B, S, D]``.
          drop_path: stochastic depth, one draw a group of a clip for attention and one a class
            token for the MLP; None where no path is dropped.
        """

        def draws(use: int) -> DropPath | None:
            return None if drop_path is None else drop_path.fold(use)

        scheme = self.scheme
        if scheme.order == "added_first":
            patches = self._add_steps(patches, draws)
        seen = placement.place_for(scheme.vit_step, patches)
        class_tokens = self._place(class_tokens)
        norm = self.layers.norm(name="norm1")
        attention = StepAttention(scheme.vit_step, self.num_heads, self.layers, name="attention")
        residual, class_residual = attention(
            norm(seen), norm(class_tokens), drop_path=draws(len(scheme.added_steps))
        )
        if scheme.order == "parallel":
            patches = self._add_steps(seen, draws) + residual
        else:
            patches = seen + residual
        class_tokens = self._place(class_tokens + class_residual)
        if scheme.order == "vit_first":
            patches = self._add_steps(patches, draws)

        norm = self.layers.norm(name="norm2")
        mlp = Mlp(self.mlp_dim, self.layers, name="mlp")
        residual, class_residual = mlp(norm(patches)), mlp(norm(class_tokens))
        if drop_path is not None:
            # One draw a sequence of the reference: the clip, or the frame for space-only.
            shape = (*class_tokens.shape[:2], 1)
            factor = draws(len(scheme.steps)).factor(shape, self.layers.dtype)
            residual *= factor[:, :, None, None]
            class_residual *= factor
        return patches + residual, class_tokens + class_residual

    def _add_steps(self, patches: jax.Array, draws: Callable[[int], DropPath | None]) -> jax.Array:
        """Patches ``[B, T, H, W, D]`` after the steps that the image ViT lacks."""
        shape = patches.shape
        for number, step in enumerate(self.scheme.added_steps):
            patches = placement.place_for(step, patches)
            added = AddedStep(step, self.num_heads, self.layers, name=step.name)
            patches += added(patches, drop_path=draws(number))
            patches = placement.place_back(patches, shape)
        return patches

    def _place(self, class_tokens: jax.Array) -> jax.Array:
        return placement.place_class_tokens(
            class_tokens, per_frame=self.scheme.class_token_per_frame
        )
