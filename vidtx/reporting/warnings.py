"""What a person should know of a run before they trust it, each with its cause and its cure."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vidtx.reporting.comparison import wilson_interval
from vidtx.reporting.tables import percent
from vidtx.reporting.time_spent import TimeSpent

# Above or below these a person is told.
_INPUT_BOUND = 0.1
_UTILISATION = 0.2
_FEW_VIDEOS = 200
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class RunWarning:
    """Something to know.

    Attributes:
      what: has happened, a sentence.
      cause: of it, a sentence or more.
      cure: what to do about it, likewise.
    """

    what: str
    cause: str
    cure: str


def run_warnings(
    *,
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    records: Sequence[Mapping[str, float]],
    spent: TimeSpent,
    status: Mapping[str, Any],
    first_weights: Mapping[str, Any],
) -> list[RunWarning]:
    """All that the files of a run directory give reason to warn of.

    Args:
      config: ``config.json``.
      dataset: ``dataset.json``.
      evaluation: ``evaluation.json``.
      records: ``metrics.jsonl``, as `read_metrics` returns it.
      spent: where the time went.
      status: ``status.json``.
      first_weights: ``init_from.json``.
      Each may be empty where there is no such file.
    """
    return [
        *_of_the_end(status, evaluation),
        *_of_figures(records),
        *_of_data(config.get("data") or {}, dataset, evaluation, records),
        *_of_scores(evaluation),
        *_of_weights(first_weights),
        *_of_speed(spent),
        *_of_restarts(status),
    ]


def _of_the_end(status: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[RunWarning]:
    state, message = status.get("state"), status.get("message") or ""
    if state in ("stopped", "diverged", "failed"):
        yield RunWarning(
            f"The run has not finished: it {_ENDS[state]} at step {status['step']:,} of "
            f"{status['total']:,}.",
            message,
            "" if message else "The same command goes on from its newest checkpoint.",
        )
    judged = evaluation.get("step")
    if judged is not None and state != "running" and status.get("step", judged) > judged:
        yield RunWarning(
            f"The scores are of the state after step {judged:,}, and not of the last one.",
            "It was the last to be judged.",
            "Judge the newest state with --mode=eval.",
        )


_ENDS = {"stopped": "was stopped", "diverged": "diverged", "failed": "ended with an error"}


def _of_figures(records: Sequence[Mapping[str, float]]) -> Iterator[RunWarning]:
    lost = [
        (record["step"], key)
        for record in records
        for key, value in record.items()
        if not math.isfinite(value)
    ]
    if lost:
        step, key = lost[0]
        yield RunWarning(
            f"{_counted(len(lost), 'figure is', 'figures are')} not finite, the first of them "
            f"{key} at step {step:,}.",
            "The learning rate is too high, the data hold something odd, or bfloat16 overflows.",
            "Lower optimizer.learning_rate, lengthen the warm-up or set optimizer.clip_norm; "
            "debug.check_nans=True names the operation.",
        )


def _of_data(
    options: Mapping[str, Any],
    dataset: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    records: Sequence[Mapping[str, float]],
) -> Iterator[RunWarning]:
    replaced = sum(record.get("train/replaced", 0) for record in records)
    if replaced:
        yield RunWarning(
            f"{_counted(round(replaced), 'unreadable clip was', 'unreadable clips were')} "
            "replaced by others.",
            "Videos to train on are damaged, or of a kind that the decoder does not know.",
            "Find them with vidtx data audit, and build the data set again without them.",
        )
    failed = evaluation.get("failed")
    if failed:
        failures = evaluation.get("failures") or []
        more = f"; and {failed - _NAMED:,} more" if failed > _NAMED else ""
        yield RunWarning(
            f"{_counted(failed, 'video', 'videos')} could not be judged; no score here covers "
            "them.",
            "; ".join(failures[:_NAMED]) + (more if failures else ""),
            "Repair them, or build the data set again without them.",
        )
    for split, kinds in sorted((dataset.get("dropped") or {}).items()):
        left_out = {kind: count for kind, count in kinds.items() if count}
        if left_out:
            listed = ", ".join(f"{count:,} {kind}" for kind, count in sorted(left_out.items()))
            yield RunWarning(
                f"{sum(left_out.values()):,} listed videos of split {split} are not in the data "
                f"set: {listed}.",
                "They were absent or unreadable when it was built.",
                "manifest.json of the data set names them; restore them and build it again.",
            )
    if dataset.get("source") == "folder":
        yield RunWarning(
            "The data are read from files as they are, and their fingerprint is of samples.",
            "A file that is replaced by another of the same size may go unnoticed.",
            "Build a data set of them (vidtx data build folder); it is read faster, too.",
        )
    if options.get("eval_split") and options["eval_split"] == options.get("train_split"):
        yield RunWarning(
            f"The model is judged on {options['eval_split']}, the videos that it was trained on.",
            "data.eval_split is data.train_split.",
            "Judge it on other videos to know what it has learnt.",
        )


def _of_scores(evaluation: Mapping[str, Any]) -> Iterator[RunWarning]:
    examples, share = evaluation.get("examples"), evaluation.get("top1")
    if share is not None and examples and examples < _FEW_VIDEOS:
        low, high = wilson_interval(share, round(examples))
        yield RunWarning(
            f"The scores are of {examples:,} videos only.",
            f"With so few, the true top-1 accuracy may lie between {percent(low)} and "
            f"{percent(high)} (Wilson's interval, 95 %).",
            "Judge on more videos before you compare runs.",
        )
    counts = evaluation.get("counts")
    names = evaluation.get("class_names")
    if counts is not None and names is not None:
        without = [str(name) for name, count in zip(names, counts, strict=False) if not count]
        if without:
            yield RunWarning(
                f"{_counted(len(without), 'class has', 'classes have')} no video to be judged on: "
                f"{_some(without)}.",
                "The split has none of them.",
                "Their scores are not known; choose another data.eval_split for those.",
            )
    confusion = evaluation.get("confusion")
    if confusion is not None and names is not None and len(confusion) > 1:
        seen = [sum(row[column] for row in confusion) for column in range(len(names))]
        never = [
            str(name)
            for name, predicted, row in zip(names, seen, confusion, strict=False)
            if sum(row) and not predicted
        ]
        if never:
            yield RunWarning(
                f"{_counted(len(never), 'class was', 'classes were')} never predicted: "
                f"{_some(never)}.",
                "The model has not learnt them yet, or has seen few videos of them.",
                "Train longer, or look whether the training split has enough of them.",
            )


def _of_weights(first_weights: Mapping[str, Any]) -> Iterator[RunWarning]:
    new = [entry for entry in first_weights.get("entries", ()) if entry.get("fate") == "new"]
    if new:
        named = [str(entry["ours"]) for entry in new]
        head = "The head was begun anew" if any("head" in name for name in named) else "Begun anew"
        yield RunWarning(
            f"{head}: {len(new)} arrays are not of {first_weights.get('source')}: {_some(named)}.",
            "; ".join(dict.fromkeys(entry["how"] for entry in new if entry.get("how"))),
            "That is as it should be for other classes or another scheme; init_from.json has "
            "every array.",
        )


def _of_speed(spent: TimeSpent) -> Iterator[RunWarning]:
    if spent.input_bound is not None and spent.input_bound > _INPUT_BOUND:
        yield RunWarning(
            f"The devices waited for data in {percent(spent.input_bound)} of the training time.",
            "Clips are decoded more slowly than the devices take them.",
            "Raise data.threads or data.workers, or build the data set with a lower resolution; "
            "vidtx benchmark input measures it.",
        )
    if spent.utilisation is not None and spent.utilisation < _UTILISATION:
        yield RunWarning(
            f"The chips do {percent(spent.utilisation)} of what they could (median).",
            "Batches are small for them, float32 is used, or they wait for data.",
            "Raise train.global_batch, set model.dtype=bfloat16, or trace some steps with "
            "profile.first_step.",
        )


def _of_restarts(status: Mapping[str, Any]) -> Iterator[RunWarning]:
    starts = status.get("starts") or []
    if len(starts) > 1:
        steps = ", ".join(f"{step:,}" for step in starts[1:])
        yield RunWarning(
            f"The run was started {len(starts)} times; it went on after step {steps}.",
            "It was stopped or killed in between.",
            "Nothing needs to be done: the result is that of an undisturbed run. Only the time "
            "of steps that were trained again is missing from the sums.",
        )


def _counted(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
