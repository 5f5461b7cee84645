"""A model whose logits are looked up, examples for it, and what NumPy makes of them.

``python -m tests.evaluation.looked_up RESULT`` judges it on 1, 2 and 8 devices.
"""

import dataclasses
import json
import pathlib
import sys

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from tests import tiny_run
from tests.sharding.meshes import mesh_of
from vidtx.config import resolve
from vidtx.evaluation import evaluate, make_eval_step
from vidtx.sharding import rows_of_process

VIEWS = 3
EXAMPLES = 50


class LookedUp(nn.Module):
    """Logits are the row of a table that a clip's first pixel names."""

    num_classes: int

    @nn.compact
    def __call__(self, clips):
        table = self.param("table", nn.initializers.zeros, (256, self.num_classes))
        pixel = clips[:, 0, 0, 0, 0] * 0.225 + 0.45
        return table[jnp.round(pixel * 255).astype(jnp.int32)]


def table(num_classes):
    """Whole numbers, so that there are ties; some rows favour no class at all."""
    values = np.random.RandomState(num_classes).randint(-3, 4, (256, num_classes))
    values[::7] = 0
    return values.astype(np.float32)


def examples(num_classes):
    """Pixels ``[N, V]``, labels and weights: some videos could not be read."""
    random = np.random.RandomState(1)
    weights = np.ones(EXAMPLES, np.float32)
    weights[[3, 17, 49]] = 0
    labels = random.randint(0, num_classes, EXAMPLES).astype(np.int32)
    return random.randint(0, 256, (EXAMPLES, VIEWS)), labels, weights


def batches(size, mesh, pixels, weights, **targets):
    """As the loader gives them: the last is padded, and what failed weighs nothing.

    Of every batch, the rows that this process feeds.
    """
    values = {
        "video": np.broadcast_to(
            pixels[:, :, None, None, None, None], (*pixels.shape, 1, 2, 2, 3)
        ).astype(np.uint8),
        "weight": weights,
        "failed": (weights == 0).astype(np.int32),
        "index": np.arange(len(pixels)),
        **targets,
    }
    blocks, count = rows_of_process(mesh)
    for start in range(0, len(pixels), size):
        batch = {}
        for name, rows in values.items():
            here = rows[start : start + size]
            rest = np.zeros((size - len(here), *rows.shape[1:]), rows.dtype)
            rest -= name == "index"
            parts = np.split(np.concatenate([here, rest]), count)
            batch[name] = np.concatenate([parts[block] for block in blocks])
        yield batch


def step_of(model, mesh, **overrides):
    """The evaluation's step, for frames that pass through normalisation as they are."""
    spec = resolve(tiny_run.tiny_config("data", **overrides))
    data = dataclasses.replace(spec.data, mean=(0.45,) * 3, std=(0.225,) * 3)
    return make_eval_step(dataclasses.replace(spec, data=data), model, mesh)


def judge(size, mesh, num_classes=7, average="softmax", given=None):
    pixels, labels, weights = examples(num_classes)
    return evaluate(
        step_of(LookedUp(num_classes), mesh, **{"eval.average": average}),
        {"table": table(num_classes) if given is None else given},
        batches(size, mesh, pixels, weights, label=labels),
        step=12,
        class_names=tuple(f"class {number}" for number in range(num_classes)),
        mesh=mesh,
    )


def reference(num_classes=7, average="softmax"):
    """The same by a loop over examples, in float64; ties go to the class of the lower number."""
    pixels, labels, weights = examples(num_classes)
    scores = table(num_classes).astype(np.float64)
    found = {"top1": 0, "top5": 0, "loss": 0.0, "examples": 0}
    confusion = np.zeros((num_classes, num_classes), int)
    for views, label, weight in zip(pixels, labels, weights, strict=True):
        if not weight:
            continue
        logits = scores[views]
        if average == "logits":
            logits = logits.mean(axis=0, keepdims=True)
        exponents = np.exp(logits)
        # Rounded, for what is equal by arithmetic to be equal here too.
        mean = np.round((exponents / exponents.sum(axis=1, keepdims=True)).mean(axis=0), 12)
        order = sorted(range(num_classes), key=lambda number: (-mean[number], number))
        found["examples"] += 1
        found["top1"] += order[0] == label
        found["top5"] += label in order[:5]
        found["loss"] -= np.log(mean[label])
        confusion[label, order[0]] += 1
    count = found.pop("examples")
    return {name: value / count for name, value in found.items()}, count, confusion


def extreme_videos(num_classes=7):
    """The best and the worst videos by a NumPy sort over all: numbers, classes, probabilities."""
    pixels, labels, weights = examples(num_classes)
    exponents = np.exp(table(num_classes).astype(np.float64))[pixels]
    scores = (exponents / exponents.sum(axis=-1, keepdims=True)).mean(axis=1)
    order = np.argsort(-np.round(scores, 12), axis=1, kind="stable")[:, :5]
    sure = np.round(scores.max(axis=1) * 10_000)
    right = order[:, 0] == labels
    found = {}
    for name, chosen in (("best", right), ("worst", ~right)):
        rows = np.flatnonzero(chosen & (weights > 0))
        rows = rows[np.argsort(-sure[rows], kind="stable")][:8]
        found[name] = [
            {
                "index": int(row),
                "labels": [int(labels[row])],
                "label_probabilities": [scores[row, labels[row]]],
                "classes": order[row].tolist(),
                "probabilities": scores[row, order[row]].tolist(),
                "loss": -np.log(scores[row, labels[row]]),
            }
            for row in rows
        ]
    return found


def plain(evaluation):
    return {
        name: getattr(evaluation, name) for name in ("examples", "failed", "top1", "top5", "loss")
    } | {name: evaluation.to_dict()[name] for name in ("confusion", "best", "worst")}


def on_meshes(judged):
    """What ``judged(size, mesh)`` finds, for several batch sizes on 1, 2 and 8 devices."""
    found = {
        f"{size} on {devices}": judged(size, mesh_of(devices))
        for devices in (1, 2, 8)
        for size in (8, 24, 64)
    }
    # Videos in four parts, each of two devices; and in two, each of four.
    meshes = {"2x4": mesh_of(2, 4), "2x2x2": mesh_of(2, 2, 2), "2x2x2 in two": mesh_of(2, 1, 2, 2)}
    return found | {f"16 on {name}": judged(16, mesh) for name, mesh in meshes.items()}


def main():
    found = on_meshes(lambda size, mesh: plain(judge(size, mesh)))
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
