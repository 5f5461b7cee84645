"""A model whose logits are looked up, examples for it, and what NumPy makes of them.

``python -m tests.evaluation.looked_up RESULT`` judges it on 1, 2 and 8 devices.
"""

import dataclasses
import json
import pathlib
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tests import tiny_run
from tests.sharding.on_eight_devices import mesh_of
from vidtx.config import resolve
from vidtx.evaluation import evaluate, make_eval_step

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


def batches(size, num_classes):
    """As the loader gives them: the last is padded, and what failed weighs nothing."""
    pixels, labels, weights = examples(num_classes)
    for start in range(0, EXAMPLES, size):
        rows = slice(start, start + size)
        here = len(labels[rows])
        batch = {
            "video": np.zeros((size, VIEWS, 1, 2, 2, 3), np.uint8),
            "label": np.zeros(size, np.int32),
            "weight": np.zeros(size, np.float32),
            "failed": np.zeros(size, np.int32),
        }
        batch["video"][:here] = pixels[rows][:, :, None, None, None, None]
        batch["label"][:here] = labels[rows]
        batch["weight"][:here] = weights[rows]
        batch["failed"][:here] = weights[rows] == 0
        yield batch


def judge(size, mesh, num_classes=7, average="softmax", given=None):
    spec = resolve(tiny_run.tiny_config("data", **{"eval.average": average}))
    spec = dataclasses.replace(
        spec, data=dataclasses.replace(spec.data, mean=(0.45,) * 3, std=(0.225,) * 3)
    )
    step = make_eval_step(spec, LookedUp(num_classes), mesh)
    return evaluate(
        step,
        {"table": jnp.asarray(table(num_classes) if given is None else given)},
        batches(size, num_classes),
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


def plain(evaluation):
    return {
        name: getattr(evaluation, name) for name in ("examples", "failed", "top1", "top5", "loss")
    } | {"confusion": evaluation.confusion.tolist()}


def main():
    full = mesh_of(-1, 1)
    found = {}
    for devices in (1, 2, 8):
        lengths = (devices, *[1] * (len(full.axis_names) - 1))
        mesh = jax.make_mesh(
            lengths, full.axis_names, axis_types=full.axis_types, devices=jax.devices()[:devices]
        )
        for size in (8, 24, 64):
            found[f"{size} on {devices}"] = plain(judge(size, mesh))
    found["16 on 2x4"] = plain(judge(16, mesh_of(2, 4)))
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
