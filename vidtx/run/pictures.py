"""What a person looks at: the clips that the model was fed, curves, confusions."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidtx.config import RunSpec
from vidtx.data_errors import data_errors_as_ours
from vidtx.evaluation import Evaluation
from vidtx.reporting import (
    contact_sheet,
    per_class_table,
    percent,
    plot_confusion,
    plot_curves,
    read_metrics,
)
from vidtx.reporting.files import Path, exists, read_bytes
from vidtx.run.setup import Setup
from vidtx.run.workdir import write_json
from vidtx.training import augment, draw
from vidtx.training.augment import Draws

_CLIPS_SHOWN = 16
_CLASSES_NAMED = 5  # below one clip
_CLASSES_PRINTED = 60


# Compiled whole, as in training: operation by operation each would be compiled for itself.
_draw = jax.jit(draw, static_argnums=(0, 2))


@functools.partial(jax.jit, static_argnums=2)
def _augment(clips: jax.Array, drawn: Draws, spec: RunSpec) -> jax.Array:
    return augment(clips, jnp.zeros((len(clips), 1)), drawn, spec)[0]


def draw_contact_sheet(setup: Setup, folder: Path) -> None:
    """Draws the first clips of batch 0 as the model is fed them, unless that is done already."""
    path = folder / "contact_sheet.png"
    if exists(path):
        return
    with data_errors_as_ours(), setup.data.train_batches(setup.train_source, 0, 1) as batches:
        batch = {name: rows[:_CLIPS_SHOWN] for name, rows in next(batches).items()}
    drawn = draws_of(setup.spec, 0)
    shown = len(batch["video"])
    fed = fed_frames(batch["video"], jax.tree.map(lambda rows: rows[:shown], drawn), setup.spec)
    contact_sheet(fed, _captions(batch, setup.data.description.class_names), path)


def draws_of(spec: RunSpec, step: int) -> Draws:
    """What step ``step`` draws for its batch, in host memory."""
    return jax.device_get(_draw(spec, step, spec.train.global_batch))


def fed_frames(clips: np.ndarray, drawn: Draws, spec: RunSpec) -> np.ndarray:
    """What training makes of clips on the device, as pictures to look at.

    Args:
      clips: uint8 ``[B, T, height, width, 3]``, RGB, as the loader gives them; whole pairs of rows
        where clips are mixed.
      drawn: what is random about these rows.
      spec: the run.

    Returns:
      uint8 ``[B, T, height, width, 3]``, RGB, normalisation undone.
    """
    data = spec.data
    frames = jax.device_get(_augment(clips, drawn, spec)) * data.std + data.mean
    frames = np.clip(np.rint(frames * 255), 0, 255).astype(np.uint8)
    return frames[..., ::-1] if data.channel_order == "bgr" else frames


def _captions(batch: Mapping[str, np.ndarray], class_names: tuple[str, ...]) -> list[str]:
    """The class or classes of each clip, and the number of its record."""
    key = "labels" if "labels" in batch else "label"
    return [
        f"{name_classes({key: targets}, class_names)}\nrecord {index}"
        for targets, index in zip(batch[key], batch["index"], strict=True)
    ]


def name_classes(targets: Mapping[str, object], class_names: tuple[str, ...]) -> str:
    """The class of a clip, or the first few of its classes.

    Args:
      targets: ``label``, its number, or ``labels``, multi-hot ``[C]``.
      class_names: in label order.
    """
    many = "labels" in targets
    numbers = np.flatnonzero(targets["labels"]) if many else [targets["label"]]
    named = [class_names[number] for number in numbers[:_CLASSES_NAMED]]
    more = f" + {len(numbers) - len(named)} more" if len(numbers) > len(named) else ""
    return f"{', '.join(named) or 'no class'}{more}"


def write_evaluation(
    setup: Setup,
    folder: Path,
    evaluation: Evaluation,
    show: Callable[[dict[str, Any]], object],
) -> None:
    """Writes ``confusion.png``, ``curves.png``, the report, and at last ``evaluation.json``.

    What finds that one of a step finds all of it. Videos of any number of classes have no
    confusions.

    Args:
      setup: the run.
      folder: its directory.
      evaluation: what was found.
      show: writes the report; given what ``evaluation.json`` will hold.
    """
    figures = {
        **evaluation.to_dict(),
        "split": setup.spec.data.eval_split,
        "temporal_views": setup.spec.eval.temporal_views,
        "spatial_crops": setup.spec.eval.spatial_crops,
        "average": setup.spec.eval.average,
        "state": setup.spec.eval.state,
        "fingerprint": setup.data.description.fingerprint,
    }
    if evaluation.confusion is not None:
        plot_confusion(evaluation.confusion, evaluation.class_names, folder / "confusion.png")
    plot_curves(read_metrics(folder / "metrics.jsonl"), folder / "curves.png")
    show(figures)
    write_json(folder / "evaluation.json", figures)


def evaluation_is_written(folder: Path, step: int) -> bool:
    """Whether what `write_evaluation` writes is there for the state after ``step``."""
    path = folder / "evaluation.json"
    if not exists(path) or not exists(folder / "report.html"):
        return False
    try:
        return json.loads(read_bytes(path))["step"] == step
    except (ValueError, KeyError, TypeError):  # damaged: it is found again
        return False


def describe_evaluation(setup: Setup, evaluation: Evaluation) -> str:
    """The figures, and the table of classes where it is not too long to read."""
    data = setup.data.description
    lines = [
        f"{data.name} {data.version}, split {setup.spec.data.eval_split}, fingerprint "
        f"{data.fingerprint[:12]}, state {evaluation.step}: {evaluation.examples:,} of "
        f"{evaluation.examples + evaluation.failed:,} videos judged",
    ]
    if evaluation.multi_label:
        shares = f"mAP {percent(evaluation.score)}   hit@1 {percent(evaluation.hit1)}"
        table = {"score": "average precision", "clips": evaluation.examples}
    else:
        shares = f"top-1 {percent(evaluation.top1)}   top-5 {percent(evaluation.top5)}"
        table = {}
    lines.append(f"{shares}   loss {evaluation.loss:.4f}")
    if evaluation.multi_label and evaluation.classes_without_videos:
        lines.append(
            f"mAP leaves out {evaluation.classes_without_videos} of the "
            f"{len(evaluation.class_names)} classes, which no video here has."
        )
    if len(evaluation.class_names) <= _CLASSES_PRINTED:
        counts, scores = evaluation.class_counts, evaluation.class_scores
        lines.append(per_class_table(evaluation.class_names, counts, scores, **table))
    return "\n".join(lines)
