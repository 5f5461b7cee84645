"""Judging a model on every video of a split, each exactly once, over all its views."""

from collections.abc import Callable, Iterable, Mapping

import einops
import jax
import numpy as np
from jax.sharding import Mesh

from vidtx.config import RunSpec
from vidtx.evaluation.metrics import Evaluation
from vidtx.evaluation.multi_label import MultiLabelStep
from vidtx.evaluation.single_label import SingleLabelStep
from vidtx.evaluation.views import average_views
from vidtx.models import TimeSformer, normalize
from vidtx.sharding import Pace, place_batch

EvalStep = SingleLabelStep | MultiLabelStep


def make_eval_step(spec: RunSpec, model: TimeSformer, mesh: Mesh) -> EvalStep:
    """The compiled step ``(seen, params, batch) -> seen``, for one label a video or any number.

    A batch has ``video`` uint8 ``[B, V, T, height, width, 3]``, ``label`` int32 ``[B]`` or
    ``labels`` uint8 ``[B, C]``, ``weight`` float32 ``[B]`` and ``failed`` int32 ``[B]``; and
    ``view_weight`` float32 ``[B, V]``, if videos differ in how many views they have. With ``index``
    int32 ``[B]``, record numbers, the best and the worst judged videos are kept.
    """
    data = spec.data

    def score(params: dict, batch: Mapping[str, jax.Array]) -> jax.Array:
        video = batch["video"]
        clips = einops.rearrange(video, "b v t h w c -> (b v) t h w c")
        clips = normalize(clips, data.mean, data.std, data.channel_order)
        logits = model.apply({"params": params}, clips)
        logits = einops.rearrange(logits, "(b v) c -> b v c", v=video.shape[1])
        return average_views(
            logits,
            average=spec.eval.average,
            multi_label=data.multi_label,
            weights=batch.get("view_weight"),
        )

    return (MultiLabelStep if spec.data.multi_label else SingleLabelStep)(score, mesh)


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

    With several processes, each feeds its own rows of every batch, and all find the same.

    Args:
      eval_step: from `make_eval_step`.
      params: the model's parameters, on the mesh.
      batches: from `data_pipelines.loader.eval_batches`.
      step: number of the state that is judged.
      class_names: in label order.
      mesh: the devices.
      between: called before every batch; may raise to stop.
    """
    seen = eval_step.start(len(class_names))
    pace = Pace()
    for batch in batches:
        pace.wait()
        between()
        names = ["video", eval_step.target, "weight", "failed"]
        names += ["view_weight"] if "view_weight" in batch else []
        rows = {name: batch[name] for name in names}
        if "index" in batch:
            rows["index"] = batch["index"].astype(np.int32)
        seen = eval_step(seen, params, place_batch(rows, mesh))
        pace.begun(eval_step.mark(seen))
    return eval_step.conclude(seen, step=step, class_names=class_names)
