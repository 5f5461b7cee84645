"""One attention step with its projections, on one device or on a mesh.

Where devices share a step's groups, attention needs no communication, and what the compiler can
split is left to it. Where they share the tokens of every group, each device's tokens ask, and all
keys and values are gathered; attention kernels, which the compiler cannot split, run on each
device's share. Both are written for one device, under `jax.shard_map`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.sharding import PartitionSpec

from vidtx.kernels import Grouping, Step, attend_groups, attend_groups_observed, choose_backend
from vidtx.models import placement
from vidtx.models.layers import DropPath, Layers

# Collections of variables: the weights that a step puts there, and what it adds to them first.
WEIGHTS, SHIFTS = "attention", "attention_shifts"


class StepAttention(nn.Module):
    """One multi-head self-attention over the groups of a step, with its projections.

    Applied with the collection ``attention`` mutable, it attends by the plain backend and puts its
    ``weights`` there, float32 ``[B, G, A, N, N]``: of each group its tokens in the group's order,
    the class token before them if it takes part. ``weights`` in the collection
    ``attention_shifts``, shaped alike, are added to them first, so that a gradient with respect to
    these zeros is one with respect to the weights.

    Attributes:
      step: which tokens look at each other.
      num_heads: ``A``.
      layers: makes its layers.
    """

    step: Step
    num_heads: int
    layers: Layers

    @nn.compact
    def __call__(
        self,
        patches: jax.Array,
        class_tokens: jax.Array | None,
        *,
        drop_path: DropPath | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Attends within every group.

        Args:
          patches: ``[B, T, H, W, D]``, normalised; or ``[B, T, H·W, 1, D]``, see `placement`.
          class_tokens: ``[B, S, D]``, normalised, or None where the step treats patches alone.
          drop_path: drops the branch of whole groups of a clip, or None.

        Returns:
          The residuals of the patches, shaped as they are, and of the class tokens ``[B, S, D]``:
          with one class token a clip, the mean over its copies in all groups.
        """
        batch, *grid, dim = patches.shape
        grouping = Grouping(self.step, tuple(grid))
        qkv = self.layers.qkv(dim, self.num_heads, name="qkv")
        project = self.layers.dense(dim, ("heads", "embed"), name="out")

        if class_tokens is None:
            patch_qkv, class_qkv = qkv(patches), None
        else:
            patch_qkv, class_qkv = qkv(patches, class_tokens)
        attended, class_attended = attend_step(
            grouping.gather(patch_qkv),
            class_qkv,
            grouping,
            head_dim=dim // self.num_heads,
            attention=self.layers.attention,
            platform=self.layers.platform,
            observe=self._keep if self._is_observed() else None,
        )
        attended = project(grouping.scatter(attended))
        if class_tokens is not None:
            # Where its group is. Its gradient meets that of a weight, and would follow it.
            class_attended = placement.place_class_tokens(
                project(class_attended), per_frame=self.step.splits == "frames"
            )

        if drop_path is not None:
            groups = len(grouping.group_sizes)
            factor = drop_path.factor((batch, groups, 1), self.layers.dtype)
            tokens = max(grouping.group_sizes)
            attended *= grouping.scatter(
                jnp.broadcast_to(factor[:, :, None], (batch, groups, tokens, 1))
            )
            class_attended = None if class_tokens is None else class_attended * factor

        if class_tokens is not None and class_tokens.shape[1] == 1:
            class_attended = class_attended.mean(axis=1, keepdims=True)
        return attended, class_attended

    def _is_observed(self) -> bool:
        return self.is_mutable_collection(WEIGHTS) and not self.is_initializing()

    def _keep(self, weights: jax.Array) -> jax.Array:
        if self.has_variable(SHIFTS, "weights"):
            weights += self.get_variable(SHIFTS, "weights")
        self.put_variable(WEIGHTS, "weights", weights)
        return weights


def attend_step(
    tokens: jax.Array,
    class_tokens: jax.Array | None,
    grouping: Grouping,
    *,
    head_dim: int,
    attention: str = "auto",
    platform: str | None = None,
    observe: Callable[[jax.Array], jax.Array] | None = None,
) -> tuple[jax.Array, jax.Array | None]:
    """What a step does between its projections, on the mesh if there is one.

    Args:
      tokens: fused query, key and value of the patches in groups, ``[B, G, N, 3·D]``, as
        `Layers.qkv` orders them.
      class_tokens: the same of the class token, ``[B, S, 3·D]`` with ``S`` either 1 (copied into
        every group) or ``G`` (one a group); None where the step treats patches alone.
      grouping: the groups.
      head_dim: ``K``.
      attention: what computes it, one of `vidtx.kernels.ATTENTION`.
      platform: of the devices; None for JAX's default.
      observe: as of `vidtx.kernels.attend_groups_observed`, which then computes it on whatever
        devices the compiler chooses; None where nobody looks.

    Returns:
      Attended patches ``[B, G, N, D]`` and attended class tokens ``[B, G, D]``, one a group (None
      without class tokens).

    Raises:
      ValueError: ``attention`` cannot run on these devices, or with this dtype or head width.
    """
    batch, _, count, _ = tokens.shape
    by_head = placement.parts("act_heads") > 1
    if observe is not None:
        return _attend(
            tokens,
            class_tokens,
            valid=grouping.valid,
            head_dim=head_dim,
            by_head=by_head,
            attend=functools.partial(attend_groups_observed, observe=observe),
        )
    backend = choose_backend(
        attention,
        platform=jax.default_backend() if platform is None else platform,
        tokens=count + (class_tokens is not None),
        head_dim=head_dim,
        dtype=tokens.dtype,
    )
    axes = _Axes.of(grouping.step, batch)
    local = functools.partial(
        _attend,
        head_dim=head_dim,
        by_head=by_head,
        attend=functools.partial(attend_groups, backend=backend),
    )
    if not axes.gathered and (backend == "xla" or not axes.split):
        return local(tokens, class_tokens, valid=grouping.valid)
    return _attend_shares(local, tokens, class_tokens, grouping.valid, axes)


class _Axes(NamedTuple):
    """Mesh axes over which a step's fused tokens ``[B, G, N, 3·D]`` are split.

    Attributes:
      specs: of each axis; those of length 1 too, or gradients would be summed over them.
      shares: into how many parts groups, and tokens, are split.
      split: whether anything is.
    """

    specs: tuple[tuple[str, ...], ...]
    shares: tuple[int, int]
    split: bool

    @classmethod
    def of(cls, step: Step, batch: int) -> "_Axes":
        name = "act_positions" if step.splits == "positions" else "act_frames"
        shared, count = placement.mesh_axes(name), placement.parts(name)
        pair, shares = (shared, ()), (count, 1)
        if step.splits == "tokens":
            pair, shares = pair[::-1], shares[::-1]
        others = placement.parts("act_batch", batch), placement.parts("act_heads")
        batch_axes = placement.mesh_axes("act_batch", batch)
        return cls(
            (batch_axes, *pair, placement.mesh_axes("act_heads")), shares, max(count, *others) > 1
        )

    @property
    def gathered(self) -> tuple[str, ...]:
        """The axes over which keys and values are gathered."""
        return self.specs[2] if self.shares[1] > 1 else ()


def _attend_shares(
    local: Callable,
    tokens: jax.Array,
    class_tokens: jax.Array | None,
    valid: np.ndarray | None,
    axes: _Axes,
) -> tuple[jax.Array, jax.Array | None]:
    """`attend_step`, every device for its share of the groups or of each group's tokens."""
    _, groups, count, _ = tokens.shape
    # What does not divide is padded: with groups that nobody reads, or keys that nobody looks at.
    more_groups, more = -groups % axes.shares[0], -count % axes.shares[1]
    tokens = jnp.pad(tokens, [(0, 0), (0, more_groups), (0, more), (0, 0)])
    if more:
        valid = np.ones((groups, count), bool) if valid is None else valid
        valid = np.pad(valid, [(0, 0), (0, more)])

    batch_axes, group_axes, _, head_axes = axes.specs
    spec, class_spec = PartitionSpec(*axes.specs), PartitionSpec(batch_axes, group_axes, head_axes)
    arguments, specs = [tokens], [spec]
    if class_tokens is not None:
        single = class_tokens.shape[1] == 1
        widths = [(0, 0), (0, 0 if single else more_groups), (0, 0)]
        arguments.append(jnp.pad(class_tokens, widths))
        specs.append(PartitionSpec(batch_axes, None, head_axes) if single else class_spec)

    attended, class_attended = jax.shard_map(
        lambda tokens, class_tokens=None: local(
            tokens, class_tokens, valid=valid, gather_over=axes.gathered
        ),
        in_specs=tuple(specs),
        out_specs=(spec, class_spec),
        # Every device computes the same class token from the same gathered keys, which the checker
        # cannot know.
        check_vma=False,
    )(*arguments)
    if class_tokens is not None:
        class_attended = class_attended[:, :groups]
    return attended[:, :groups, :count], class_attended


def _attend(
    tokens: jax.Array,
    class_tokens: jax.Array | None,
    *,
    valid: np.ndarray | None,
    head_dim: int,
    by_head: bool,
    attend: Callable[..., jax.Array],
    gather_over: tuple[str, ...] = (),
) -> tuple[jax.Array, jax.Array | None]:
    """`attend_step` on what one device has, or where the compiler splits all there is."""
    order = "(a three k)" if by_head else "(three a k)"

    def unfuse(fused: jax.Array) -> jax.Array:
        return rearrange(fused, f"b g n {order} -> three b g n a k", three=3, k=head_dim)

    if class_tokens is not None:
        batch, groups = tokens.shape[:2]
        copies = jnp.broadcast_to(class_tokens, (batch, groups, class_tokens.shape[-1]))[:, :, None]
        if valid is not None:
            valid = np.pad(valid, [(0, 0), (1, 0)], constant_values=True)
    if gather_over:
        query, *own = unfuse(tokens)
        parts = [query, *(_gather(part, gather_over) for part in own)]
        if class_tokens is not None:
            parts = [
                jnp.concatenate(pair, axis=2) for pair in zip(unfuse(copies), parts, strict=True)
            ]
    else:
        if class_tokens is not None:
            tokens = jnp.concatenate([copies, tokens], axis=2)
        parts = unfuse(tokens)

    valid = None if valid is None else jnp.asarray(valid)
    attended = rearrange(attend(*parts, valid), "b g n a k -> b g n (a k)")
    if class_tokens is None:
        return attended, None
    return attended[:, :, 1:], attended[:, :, 0]


def _gather(part: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    """Keys or values ``[B, G, N, A, K]`` of all devices along the tokens."""
    # Heads and head width as one axis, which fills a TPU's lanes.
    heads = part.shape[3]
    flat = rearrange(part, "b g n a k -> b g n (a k)")
    whole = jax.lax.all_gather(flat, axes, axis=2, tiled=True)
    return rearrange(whole, "b g n (a k) -> b g n a k", a=heads)
