"""The report of a run: one page that opens anywhere, offline, years later."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from numbers import Integral, Real

from vidtx.reporting import _page
from vidtx.reporting._clips import clip_sections
from vidtx.reporting._curves import curves, speed
from vidtx.reporting._matrix import confusion_matrix
from vidtx.reporting.files import Path, as_path, replacing
from vidtx.reporting.tables import confused_pairs, per_class_rows, percent
from vidtx.reporting.time_spent import time_spent
from vidtx.reporting.warnings import RunWarning, run_warnings

_HEADLINES = {
    "top1": ("top-1 accuracy", percent),
    "top5": ("top-5 accuracy", percent),
    "map": ("mean average precision", percent),
    "hit1": ("hit@1", percent),
    "loss": ("loss", "{:.4g}".format),
    "examples": ("clips evaluated", "{:,.0f}".format),
    "step": ("step", "{:,.0f}".format),
}
# Shown in sections of their own.
_PER_CLASS = {
    "class_names", "counts", "accuracies", "average_precisions", "confusion", "best", "worst",
    "failures",
}  # fmt: skip
# What the table of classes scores them by: key → (column, the same in a sentence).
_CLASS_SCORES = {
    "accuracies": ("top-1 accuracy", "accuracy"),
    "average_precisions": ("average precision", "average precision"),
}
_PICTURE_TITLES = {
    "curves": "Curves",
    "confusion": "Confusions",
    "contact_sheet": "What the model is fed",
}
_STATES = {
    "running": "running",
    "finished": "finished",
    "stopped": "stopped",
    "diverged": "diverged",
    "failed": "ended with an error",
}
_OPEN_CLASSES = 30
_LISTED = 12


def write_report(
    workdir: str | os.PathLike[str],
    *,
    title: str,
    config: object,
    dataset: Mapping[str, object] | None,
    evaluation: Mapping[str, object] | None,
    pictures: Mapping[str, str | os.PathLike[str]],
    metrics: Sequence[Mapping[str, float]] = (),
    status: Mapping[str, object] | None = None,
    clips: Mapping[str, object] | None = None,
    first_weights: Mapping[str, object] | None = None,
) -> Path:
    """Writes `workdir/report.html`: a single file, without links and scripts, of a few MB at most.

    Args:
      workdir: The run directory.
      title: The page's heading.
      config: The resolved configuration: a dataclass or a (nested) mapping.
      dataset: What `dataset.json` holds: the counts and the fingerprint, nested as it likes.
      evaluation: Figures of the evaluation, or None when there was none yet. "top1", "top5"
        or "map" and "hit1" (shares between 0 and 1), "loss", "examples" and "step" make the
        headline. With "class_names", "counts" and either "accuracies" or "average_precisions" (C
        each) there is a table of classes, with "class_names" and "confusion" (counts [C, C]) the
        confusion matrix and the most confused pairs, and with "best" and "worst" what was said of
        single videos. Any other figure is listed. Names may carry the prefix "eval/".
      pictures: Name → PNG, JPEG or GIF file, shown in this order; large ones are shrunk.
        "curves", "confusion" and "contact_sheet" have headings; any other name is its own heading.
      metrics: As `read_metrics` returns them: curves, speed, and where the time went.
      status: What `status.json` holds: "state" (running, finished, stopped, diverged or failed),
        "step", "total", "updated" (text), "message" and "starts" (steps).
      clips: What `clips.json` holds: the best and worst clips as MP4, of one evaluation.
      first_weights: What `init_from.json` holds.

    Returns:
      The path of the report.

    Raises:
      FileNotFoundError: If a picture is missing.
      MachineError: If a bucket cannot be read or written.
      ValueError: If a picture is of another kind, or the figures of the classes differ in number.
    """
    evaluation = {key.removeprefix("eval/"): value for key, value in (evaluation or {}).items()}
    evaluation, status, plain = _plain(evaluation), status or {}, _plain(config)
    train = plain.get("train") if isinstance(plain.get("train"), Mapping) else {}
    spent = time_spent(metrics, train.get("global_batch", 1))
    warnings = run_warnings(
        config=plain,
        dataset=_plain(dataset or {}),
        evaluation=evaluation,
        records=metrics,
        spent=spent,
        status=status,
        first_weights=first_weights or {},
    )
    others = {k: v for k, v in evaluation.items() if k not in _PER_CLASS | _HEADLINES.keys()}
    body = [
        _header(title, plain, evaluation, status),
        _page.section("Warnings", _warnings(warnings)),
        _page.section("Curves", curves(metrics)),
        _page.section("Best and worst clips", *clip_sections(evaluation, clips)),
        _page.section("Confusions", _confusions(evaluation)),
        _page.section("Most confused", _pairs(evaluation)),
        _page.section("Classes", _classes(evaluation)),
        _page.section("Speed, and where the time went", *speed(metrics, spent)),
        *(
            _page.section(name, _page.picture(as_path(path), name))
            for name, path in ((_PICTURE_TITLES.get(k, k), path) for k, path in pictures.items())
        ),
        _page.section("More figures", _listing(others)),
        _page.section("Data set", _listing(dataset or {})),
        _page.section("Weights that it began with", _listing(_of_weights(first_weights or {}))),
    ]
    text = json.dumps(plain, indent=2, ensure_ascii=False, default=str)
    body.append(
        _page.section("Configuration", _page.collapsed("as resolved", _page.preformatted(text)))
    )
    report = as_path(workdir) / "report.html"
    with replacing(report) as temporary:
        temporary.write_text(_page.page(title, filter(None, body)), encoding="utf-8")
    return report


def _header(
    title: str,
    config: Mapping[str, object],
    evaluation: Mapping[str, object],
    status: Mapping[str, object],
) -> str:
    parts = [f"<header>\n<h1>{escape(title)}</h1>"]
    if status:
        state, step, total = (status[name] for name in ("state", "step", "total"))
        done = "" if state == "finished" else f" at step {step:,} of {total:,}"
        parts.append(f'<span class="state {state}">{_STATES[state]}{done}</span>')
        if state != "finished":
            parts.append(
                f'<progress value="{step}" max="{max(total, 1)}" '
                f'aria-label="Steps done">{step} of {total}</progress>'
            )
        again = " Reload this page to see how it is getting on." if state == "running" else ""
        parts.append(_page.paragraph(f"As of {status['updated']}.{again}"))
    headline = {
        name: form(evaluation[key])
        for key, (name, form) in _HEADLINES.items()
        if evaluation.get(key) is not None
    }
    parts.append(_page.figures(headline) or _page.paragraph("Not evaluated yet."))
    return "\n".join([*parts, "</header>"])


def _warnings(warnings: Sequence[RunWarning]) -> str:
    items = []
    for warning in warnings:
        more = "".join(f"<p>{escape(text)}</p>" for text in (warning.cause, warning.cure) if text)
        items.append(f"<li><b>{escape(warning.what)}</b>{more}</li>")
    return f'<ul class="warnings">{"".join(items)}</ul>' if items else _page.paragraph("None.")


def _of_weights(first_weights: Mapping[str, object]) -> dict[str, object]:
    kept = ("source", "layout", "architecture", "resize", "counts", "notes")
    return {key: first_weights[key] for key in kept if first_weights.get(key)}


def _confusions(evaluation: Mapping[str, object]) -> str:
    if evaluation.get("confusion") is None or evaluation.get("class_names") is None:
        return ""
    return confusion_matrix(evaluation["confusion"], evaluation["class_names"])


def _pairs(evaluation: Mapping[str, object]) -> str:
    if evaluation.get("confusion") is None or evaluation.get("class_names") is None:
        return ""
    pairs = confused_pairs(evaluation["confusion"], evaluation["class_names"])
    if not pairs:
        return ""
    rows = [(true, seen, f"{count:,}", percent(share)) for true, seen, count, share in pairs]
    headers = ["true class", "predicted class", "clips", "share of the true class"]
    return _page.table(headers, rows, right=(2, 3))


def _classes(evaluation: Mapping[str, object]) -> str:
    """The table of classes, worst first: that is where a person looks for what to mend."""
    key = next((key for key in _CLASS_SCORES if evaluation.get(key) is not None), None)
    columns = [evaluation.get(name) for name in ("class_names", "counts", key)]
    if any(column is None for column in columns):
        return ""
    header, score = _CLASS_SCORES[key]
    rows = per_class_rows(*columns, worst_first=True)
    cells = [
        (escape(name), f"{count:,}", percent(share), _page.bar(share))
        for _, name, count, share in rows
    ]
    table = _page.raw_table(["class", "clips", header, ""], cells, right=(1, 2))
    summary = f"{len(rows)} classes, lowest {score} first"
    return _page.collapsed(summary, table, opened=len(rows) <= _OPEN_CLASSES)


def _listing(values: Mapping[str, object]) -> str:
    rows = [(name, _shown(value)) for name, value in _flat(_plain(values))]
    return _page.table(["", ""], rows) if rows else ""


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name} / ")
        else:
            yield f"{prefix}{name}", value


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        # A list of 400 class names would bury the figures around it.
        more = f", … ({len(value):,} in all)" if len(value) > _LISTED else ""
        return ", ".join(map(_shown, value[:_LISTED])) + more
    if isinstance(value, bool) or value is None:
        return "yes" if value else "no" if value is False else "-"
    if isinstance(value, Mapping):  # an empty one
        return "none"
    if isinstance(value, Integral):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, Real) else str(value)


def _plain(value: object) -> object:
    """Turns dataclasses, and NumPy's scalars and arrays, into what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain(value.tolist()) if hasattr(value, "tolist") else value
