"""TimeSformer: clips in, logits out, for all five attention schemes.

"Is Space-Time Attention All You Need for Video Understanding?", Bertasius, Wang and Torresani,
ICML 2021. Where the paper and the authors' code differ, this is what produced the paper's numbers:
the class token takes no part in steps other than the last, and the head is one linear layer.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidtx.models.embedding import Embedding
from vidtx.models.layers import DropPath, Layers
from vidtx.models.schemes import get_scheme
from vidtx.models.stack import REMAT, block_class, run_loop, run_scan

__all__ = ["REMAT", "TimeSformer"]


class TimeSformer(nn.Module):
    """A video transformer. Make one with `vidtx.create_model`, which checks the sizes.

    Attributes:
      scheme: name of the attention scheme, a key of `vidtx.models.SCHEMES`.
      num_classes: ``C``.
      num_frames: frames of the clips it is trained on; others work too, embeddings are resized.
      image_size: ``(height, width)`` in pixels that it is trained on; others work too.
      patch_size: side of the square patches, in pixels.
      embed_dim: ``D``.
      depth: number of blocks.
      num_heads: ``A``, a divisor of ``D``.
      mlp_dim: hidden width of the MLPs.
      drop_path: stochastic depth of the last block; it grows linearly from 0 in the first.
      position_embedding: ``"none"``, ``"space"`` or ``"space_time"``.
      init_stddev: standard deviation with which kernels, position and class token start.
      time_init_stddev: the same of the time embedding.
      dtype: of the computation, float32 or bfloat16; parameters and logits are float32.
      attention: what computes attention, one of `vidtx.kernels.ATTENTION`.
      remat: what the backward pass computes again, one of ``REMAT``: none of it, all but the
        products with weights (and what splash attention gives), or every block in full, from its
        input.
      scan_layers: whether one compiled block serves for all. Parameters are those of the loop,
        ``block_0`` to ``block_n``, and are stacked inside the compiled program.
      platform: of the devices, cpu, gpu or tpu; None for JAX's default.
    """

    scheme: str
    num_classes: int
    num_frames: int
    image_size: tuple[int, int]
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    drop_path: float
    position_embedding: str
    init_stddev: float = 0.02
    time_init_stddev: float = 0.0
    dtype: jnp.dtype = jnp.float32
    attention: str = "auto"
    remat: str = "none"
    scan_layers: bool = False
    platform: str | None = None

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """``(T, H, W)`` of the clips that it is trained on."""
        height, width = self.image_size
        return self.num_frames, height // self.patch_size, width // self.patch_size

    @nn.compact
    def __call__(
        self,
        clips: jax.Array,
        *,
        train: bool = False,
        clip_index: jax.Array | None = None,
        return_features: bool = False,
    ) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Classifies clips.

        Args:
          clips: ``[B, T, height, width, 3]``, floating point and normalised. Any ``T``; height and
            width multiples of the patch size.
          train: whether to drop paths, for which `apply` needs ``rngs={"dropout": key}``.
          clip_index: int ``[B]``, numbers of the clips in a larger batch that this one is part of:
            the paths that a clip drops are a function of key and number. None counts from 0.
          return_features: whether to give what the head classifies, too.

        Returns:
          Logits ``[B, C]``, float32. With ``return_features`` also the features ``[B, D]``,
          float32: the class token after the last norm, ``logits = features @ kernel + bias``.

        Raises:
          ValueError: a shape or dtype that this model cannot take, or no rng to drop paths with.
        """
        self._check(clips)
        if train and self.drop_path > 0.0 and not self.has_rng("dropout"):
            raise ValueError(
                f"train=True with drop_path {self.drop_path} draws random numbers; call "
                'apply(variables, clips, train=True, rngs={"dropout": key}).'
            )
        layers = Layers(self.dtype, self.init_stddev, self.attention, self.platform)
        scheme = get_scheme(self.scheme)
        position = self.position_embedding
        if position == "space_time" and not scheme.sees_time:
            position = "space"
        patches, class_tokens = Embedding(
            dim=self.embed_dim,
            patch_size=self.patch_size,
            trained_grid=self.token_grid,
            class_token_per_frame=scheme.class_token_per_frame,
            position=position,
            time_init_stddev=self.time_init_stddev,
            layers=layers,
            name="embedding",
        )(clips.astype(self.dtype))

        drop_path = None
        if train and self.drop_path > 0.0:
            clip_index = jnp.arange(len(clips)) if clip_index is None else clip_index
            drop_path = DropPath(self.make_rng("dropout"), np.float32(self.drop_path), clip_index)
        block = functools.partial(
            block_class(self.remat, scan=self.scan_layers),
            scheme,
            self.num_heads,
            self.mlp_dim,
            layers,
        )
        if self.scan_layers and not self.is_initializing():
            params = nn.unbox(self.variables["params"])
            weights = [params[f"block_{index}"] for index in range(self.depth)]
            patches, class_tokens = run_scan(
                block(parent=None), weights, patches, class_tokens, drop_path, self.dtype
            )
        else:
            patches, class_tokens = run_loop(block, self.depth, patches, class_tokens, drop_path)

        # Space-only averages its frames' class tokens before the last norm.
        clip_token = layers.norm(name="norm")(class_tokens.mean(axis=1))
        head = dataclasses.replace(layers, dtype=jnp.float32)
        logits = head.dense(self.num_classes, ("embed", "classes"), name="head")(clip_token)
        return (logits, clip_token.astype(jnp.float32)) if return_features else logits

    def _check(self, clips: jax.Array) -> None:
        expected = "[clips, frames, height, width, 3]"
        if clips.ndim != 5 or clips.shape[-1] != 3:
            raise ValueError(f"clips has shape {clips.shape}; expected {expected}.")
        if not jnp.issubdtype(clips.dtype, jnp.floating):
            raise ValueError(
                f"clips is {clips.dtype}; expected floating point. Normalise uint8 frames first: "
                "(frames / 255 - 0.45) / 0.225."
            )
        _, frames, height, width, _ = clips.shape
        if frames < 1:
            raise ValueError(f"clips has {frames} frames; at least 1 is needed.")
        for name, size in (("height", height), ("width", width)):
            if size < self.patch_size or size % self.patch_size:
                raise ValueError(
                    f"clips has {name} {size}, which is no multiple of the patch size "
                    f"{self.patch_size}. Crop or resize the frames."
                )
