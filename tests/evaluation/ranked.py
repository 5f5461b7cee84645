"""Videos of any number of classes for the looked-up model, and average precision by definition.

``python -m tests.evaluation.ranked RESULT`` judges them on 1, 2 and 8 devices.
"""

import fractions
import json
import pathlib
import sys

import numpy as np

from tests.evaluation.looked_up import EXAMPLES, VIEWS, LookedUp, batches, on_meshes, step_of
from vidtx.evaluation import evaluate

CLASSES = 6
UNSEEN = 4  # a class that no video has


def table():
    """Far apart from one another, so that scores are equal only where the views are the same."""
    return np.random.RandomState(3).normal(0, 2, (256, CLASSES)).astype(np.float32)


def examples():
    """Pixels ``[N, V]``, labels ``[N, C]`` and weights; many videos have the same views."""
    random = np.random.RandomState(4)
    views = random.randint(0, 256, (17, VIEWS))
    labels = (random.rand(EXAMPLES, CLASSES) < 0.3).astype(np.uint8)
    labels[:, UNSEEN] = 0
    labels[[5, 6]] = 0
    weights = np.ones(EXAMPLES, np.float32)
    weights[[3, 17, 49]] = 0
    return views[random.randint(0, len(views), EXAMPLES)], labels, weights


def judge(size, mesh, average="softmax", given=None, labels=None):
    pixels, own, weights = examples()
    return evaluate(
        step_of(LookedUp(CLASSES), mesh, **{"eval.average": average, "data.multi_label": True}),
        {"table": table() if given is None else given},
        batches(size, mesh, pixels, weights, labels=own if labels is None else labels),
        step=12,
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        mesh=mesh,
    )


def average_precision(scores, positive):
    """By its definition: for every threshold, precision times what it adds to the recall."""
    total, before = fractions.Fraction(0), 0
    for threshold in sorted(set(scores), reverse=True):
        above = [own for score, own in zip(scores, positive, strict=True) if score >= threshold]
        hits = sum(map(int, above))
        total += fractions.Fraction(hits - before, int(sum(positive))) * fractions.Fraction(
            hits, len(above)
        )
        before = hits
    return float(total)


def reference(average="softmax"):
    """The same by loops, in float64."""
    pixels, labels, weights = examples()
    scores, truth = [], []
    for views, own, weight in zip(pixels, labels, weights, strict=True):
        if weight:
            logits = table().astype(np.float64)[views]
            if average == "logits":
                logits = logits.mean(axis=0, keepdims=True)
            scores.append((1 / (1 + np.exp(-logits))).mean(axis=0))
            truth.append(own)
    scores, truth = np.array(scores), np.array(truth)
    precisions = [
        average_precision(scores[:, number], truth[:, number]) if truth[:, number].any() else None
        for number in range(CLASSES)
    ]
    known = [precision for precision in precisions if precision is not None]
    return {
        "examples": len(scores),
        "failed": EXAMPLES - len(scores),
        "map": sum(known) / len(known),
        "hit1": np.mean([own[score.argmax()] for score, own in zip(scores, truth, strict=True)]),
        "loss": -np.mean(np.where(truth, np.log(scores), np.log(1 - scores))),
        "counts": truth.sum(axis=0).tolist(),
        "average_precisions": precisions,
    }


def extreme_videos():
    """The best and the worst videos by a NumPy sort over all: their numbers and losses."""
    pixels, labels, weights = examples()
    scores = (1 / (1 + np.exp(-table().astype(np.float64))))[pixels].mean(axis=1)
    losses = -np.where(labels, np.log(scores), np.log(1 - scores)).mean(axis=1)
    rows = np.flatnonzero(weights)
    rank = np.round(losses * 10_000)[rows]
    best, worst = (rows[np.argsort(key, kind="stable")][:8] for key in (rank, -rank))
    assert not set(best) & set(worst)
    return {
        name: [(int(row), float(losses[row])) for row in found]
        for name, found in (("best", best), ("worst", worst))
    }


def main():
    found = on_meshes(lambda size, mesh: judge(size, mesh).to_dict())
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
