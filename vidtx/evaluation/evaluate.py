"""Judging a model on every video of a split, each exactly once, over all its views."""

from collections.abc import Callable, Iterable, Mapping

import einops
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vidtx.config import RunSpec
from vidtx.evaluation.metrics import Counts, Evaluation
from vidtx.models import TimeSformer, normalize
from vidtx.sharding import batch_sharding, place_batch, replicated, use_mesh

EvalStep = Callable[[Counts, dict, Mapping[str, jax.Array]], Counts]


def make_eval_step(spec: RunSpec, model: TimeSformer, mesh: Mesh) -> EvalStep:
    """The compiled step ``(counts, params, batch) -> counts``.

    A batch has ``video`` uint8 ``[B, V, T, height, width, 3]``, ``label`` int32 ``[B]`` and
    ``weight`` float32 ``[B]``. Scores of a video's ``V`` views are averaged as probabilities (the
    paper) or as logits (the authors' code).
    """

    def step(counts: Counts, params: dict, batch: Mapping[str, jax.Array]) -> Counts:
        clips = einops.rearrange(batch["video"], "b v t h w c -> (b v) t h w c")
        logits = model.apply({"params": params}, normalize(clips, spec.data.mean, spec.data.std))
        logits = einops.rearrange(logits, "(b v) c -> b v c", v=batch["video"].shape[1])
        if spec.eval.average == "logits":
            log_scores = jax.nn.log_softmax(logits.mean(axis=1))
        else:
            views = logits.shape[1]
            log_scores = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=1) - jnp.log(views)
        return counts.add(log_scores, batch["label"], batch["weight"])

    compiled = jax.jit(
        step,
        in_shardings=(replicated(mesh), None, batch_sharding(mesh)),
        out_shardings=replicated(mesh),
        donate_argnums=0,
    )

    def run(counts: Counts, params: dict, batch: Mapping[str, jax.Array]) -> Counts:
        with use_mesh(mesh):
            return compiled(counts, params, batch)

    return run


def evaluate(
    eval_step: EvalStep,
    params: dict,
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    step: int,
    class_names: tuple[str, ...],
    mesh: Mesh,
    between: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Judges parameters on all batches of a split.

    Args:
      eval_step: from `make_eval_step`.
      params: the model's parameters, on the mesh.
      batches: from `data_pipelines.loader.eval_batches`.
      step: number of the state that is judged.
      class_names: in label order.
      mesh: the devices.
      between: called before every batch; may raise to stop.
    """
    counts = jax.device_put(Counts.empty(len(class_names)), replicated(mesh))
    failed = 0
    for batch in batches:
        between()
        failed += int(batch["failed"].sum())
        rows = {name: batch[name] for name in ("video", "label", "weight")}
        counts = eval_step(counts, params, place_batch(rows, mesh))
    totals = jax.device_get(counts)
    examples = int(totals.examples)

    def mean(total: np.ndarray) -> float:
        return float(total) / examples if examples else float("nan")

    return Evaluation(
        step=step,
        examples=examples,
        failed=failed,
        top1=mean(totals.top1),
        top5=mean(totals.top5),
        loss=mean(totals.loss),
        class_names=class_names,
        confusion=totals.confusion,
    )
