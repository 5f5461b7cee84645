"""A run's model, clips, mesh and memory, as they would be."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from vidtx.analysis import count_macs, count_parameters
from vidtx.analysis.memory import kept_for_backward
from vidtx.config import RunSpec
from vidtx.kernels import Grouping
from vidtx.models import TimeSformer, get_scheme
from vidtx.run.backends import step_backends, tokens_of
from vidtx.run.setup import averages
from vidtx.sharding import batch_parts, bytes_per_device, left_whole
from vidtx.training import (
    TrainState,
    abstract_state,
    boxed_params,
    describe_groups,
    make_optimizer,
    make_schedule,
)
from vidtx.training.groups import settle

__all__ = [
    "PLATFORMS",
    "describe_memory",
    "describe_mesh",
    "describe_model",
    "state_on",
    "traceable",
]

PLATFORMS = ("cpu", "gpu", "tpu")


def describe_model(
    spec: RunSpec, model: TimeSformer, num_classes: int | None, abstract: TrainState
) -> dict[str, Any]:
    """``model``, ``cost``, ``clip`` and ``attention`` as plain values, ready for JSON.

    Args:
      spec: the run.
      model: its model.
      num_classes: of its data set, or None where that is not known.
      abstract: its state, from `state_on`.
    """
    params = abstract.params
    trainable = sum(leaf.size for leaf in _trained(spec, params))
    parameters = count_parameters(traceable(model))
    one_rate = not (
        spec.optimizer.freeze or spec.optimizer.groups or spec.optimizer.layer_decay < 1
    )
    rows = [] if one_rate else describe_groups(spec.optimizer, params)
    return {
        "model": {
            "name": spec.model.name,
            "scheme": model.scheme,
            "steps": [step.name for step in get_scheme(model.scheme).steps],
            "embed_dim": model.embed_dim,
            "depth": model.depth,
            "num_heads": model.num_heads,
            "mlp_dim": model.mlp_dim,
            "patch_size": model.patch_size,
            "dtype": spec.model.dtype,
            "remat": model.remat,
            "scan_layers": model.scan_layers,
            "classes": num_classes,
            "parameters": parameters,
            "trainable": trainable,
            "frozen": parameters["total"] - trainable,
            "groups": [row._asdict() for row in rows],
        },
        "cost": _cost(spec, model),
        "clip": _clip(spec, model),
        "attention": _attention(model),
    }


def _cost(spec: RunSpec, model: TimeSformer) -> dict[str, Any]:
    """Multiply-adds of a view, and operations of a training clip: three forward passes of two."""
    macs = count_macs(model)
    parts = {"embedding": macs.embedding}
    for step in macs.steps:
        parts |= {f"{step.name}_linears": step.linears, f"{step.name}_products": step.products}
    parts |= {"mlp": macs.mlp, "head": macs.head}
    backends = step_backends(model, model.platform or jax.default_backend())
    again = {
        "none": 0,
        # What splash attention has computed is kept.
        "products": sum(step.products for step in macs.steps if backends[step.name] != "splash"),
        "full": macs.total - macs.embedding - macs.head,
    }
    views = spec.eval.temporal_views * spec.eval.spatial_crops
    return {
        "macs_of_a_view": parts | {"total": macs.total},
        "temporal_views": spec.eval.temporal_views,
        "spatial_crops": spec.eval.spatial_crops,
        "macs_of_a_video": views * macs.total,
        "train_flops_of_a_clip": 3 * 2 * macs.total,
        "flops_computed_again": 2 * again[model.remat],
    }


def _clip(spec: RunSpec, model: TimeSformer) -> dict[str, Any]:
    """A clip; ``span`` in frames of the video or of the clock, None for segments of all of it."""
    data = spec.data
    frames, rows, columns = model.token_grid
    if data.sampling == "segments":
        span = None
    elif data.sampling == "span":
        span = data.frames * data.stride
    else:
        span = (data.frames - 1) * data.stride + 1
    per_frame = get_scheme(model.scheme).class_token_per_frame
    return {
        "frames": data.frames,
        "stride": data.stride,
        "sampling": data.sampling,
        "rate": data.target_fps,
        "span": span,
        "seconds": span / data.target_fps if span and data.target_fps else None,
        "image_size": list(data.image_size),
        "short_side": list(data.short_side),
        "eval_short_side": data.eval_short_side,
        "token_grid": [frames, rows, columns],
        "patches": frames * rows * columns,
        "class_tokens": frames if per_frame else 1,
    }


def _attention(model: TimeSformer) -> list[dict[str, Any]]:
    """Each step's groups, and what would compute it on each platform; None: it is refused."""
    backends = {platform: step_backends(model, platform) for platform in PLATFORMS}
    described = []
    for step in get_scheme(model.scheme).steps:
        sizes = Grouping(step, model.token_grid).group_sizes
        described.append(
            {
                "step": step.name,
                "groups": len(sizes),
                "tokens": tokens_of(model, step.name),
                "backends": {
                    platform: None if isinstance(of[step.name], ValueError) else of[step.name]
                    for platform, of in backends.items()
                },
            }
        )
    return described


def describe_mesh(spec: RunSpec, mesh: AbstractMesh, abstract: TrainState) -> dict[str, Any]:
    """The mesh as plain values, ready for JSON."""
    clips = spec.train.global_batch // batch_parts(mesh)
    return {
        "devices": mesh.size,
        "axes": dict(mesh.shape),
        "clips_of_a_batch": spec.train.global_batch,
        "clips_on_a_device": clips,
        "clips_at_a_time": clips // spec.train.accumulate,
        "devices_that_share_a_clip": mesh.size // batch_parts(mesh),
        "whole_weights": [str(whole) for whole in left_whole(abstract.params, mesh)],
    }


def describe_memory(
    spec: RunSpec, model: TimeSformer, mesh: AbstractMesh, abstract: TrainState
) -> dict[str, Any]:
    """Bytes on each device, as plain values, ready for JSON.

    Weights, their average, the optimiser's state and the batch are exact. Gradients are as many as
    there can be at a time. What is kept for the backward pass is of the traced program; see
    `kept_for_backward`. ``attention_counted_as`` names what cuDNN was traced as, where it is not
    here.
    """
    data, parts = spec.data, spec.train.accumulate
    pixels = data.frames * data.image_size[0] * data.image_size[1] * 3
    clips = spec.train.global_batch // batch_parts(mesh)
    frames = -(-data.frames // mesh.shape["sequence"]) / data.frames
    trained = _trained(spec, abstract.params)
    traced = traceable(model)
    kept = kept_for_backward(traced, mesh, spec.train.global_batch // parts)
    weights = bytes_per_device(abstract.params)
    sizes = {
        "weights": weights,
        "optimizer": bytes_per_device(abstract.opt_state),
        "averaged_weights": bytes_per_device(abstract.ema),
        # With parts, the sum of those before, and those of the part.
        "gradients": bytes_per_device(trained) * (1 if parts == 1 else 2),
        "batch": clips * pixels,
        "clips_as_floats": round(clips // parts * pixels * 4 * frames),
        "activations": kept.activations,
        # A weight that is used twice is cast twice, of which every compiler makes one.
        "cast_weights": min(
            kept.weights,
            weights * mesh.shape["fsdp"] * jnp.dtype(model.dtype).itemsize // 4,
        ),
    }
    return {
        **sizes,
        "total": sum(sizes.values()),
        "attention_counted_as": None if traced is model else traced.attention,
    }


def traceable(model: TimeSformer) -> TimeSformer:
    """The model, or one that can be traced here.

    Where cuDNN computes attention and is not here, that has splash attention, a kernel of the same
    kind: neither stores logits.
    """
    backends = step_backends(model, model.platform or jax.default_backend())
    if "cudnn" not in backends.values() or jax.default_backend() == "gpu":
        return model
    return model.clone(attention="splash", platform="tpu")


def state_on(spec: RunSpec, model: TimeSformer, mesh: AbstractMesh) -> TrainState:
    """Shapes and places of a run's state."""
    model = traceable(model)
    params = jax.eval_shape(lambda: boxed_params(model))
    # How long a run is changes nothing here.
    optimizer = make_optimizer(spec.optimizer, make_schedule(spec.optimizer, 1000, 0), params)
    return abstract_state(model, optimizer, mesh, averaged=averages(spec))


def _trained(spec: RunSpec, params: dict) -> list[jax.ShapeDtypeStruct]:
    """The parameters that are not frozen."""
    shares = jax.tree.leaves(settle(spec.optimizer, params))
    leaves = jax.tree.leaves(params)
    return [leaf for share, leaf in zip(shares, leaves, strict=True) if not share.frozen]
