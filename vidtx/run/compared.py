"""What the runs of a comparison say: read from their directories, written as table and curves."""

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vidtx.analysis import count_macs, count_parameters
from vidtx.config import RunSpec, to_dict
from vidtx.errors import ConfigError
from vidtx.models import TimeSformer
from vidtx.reporting import (
    ComparisonRow,
    SeedResult,
    comparison_table,
    plot_comparison,
    read_metrics,
    wilson_interval,
)
from vidtx.reporting.files import Path, exists, read_bytes, write_bytes
from vidtx.run.setup import model_of
from vidtx.run.workdir import check_same_run, write_json

# How columns are called whose option's own name would not tell.
_COLUMNS = {"model.scheme": "attention scheme", "model.name": "model", "data.name": "data set"}
_FINISHED = "finished"  # a file in the directory of a run that ended well
_SCORES = {"top1": "top-1", "map": "mAP"}  # as figures of an evaluation are called


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
      argument: of its config, the row that it belongs to.
      spec: the run, whose seed tells it from the others of its row.
      command: what ``python -m vidtx.main`` is given to train it, without ``--workdir``.
    """

    argument: str
    spec: RunSpec
    command: tuple[str, ...]

    def folder(self, workdir: Path) -> Path:
        """The directory of the run."""
        return workdir / self.argument / f"seed_{self.spec.seed}"


def is_finished(run: ComparedRun, workdir: Path) -> bool:
    """Whether a run has ended well, with the config that it has now; asks no device."""
    folder = run.folder(workdir)
    if not all(exists(folder / name) for name in (_FINISHED, "evaluation.json")):
        return False
    try:
        check_same_run(folder, run.spec)
    except ConfigError:
        return False  # started, the run says what is wrong
    return True


def note_finished(run: ComparedRun, workdir: Path) -> None:
    """Notes in the directory of a run that it has ended well."""
    write_bytes(run.folder(workdir) / _FINISHED, b"")


def write_comparison(runs: Sequence[ComparedRun], workdir: Path, title: str) -> str:
    """Writes ``table.md``, ``table.json`` and ``curves.png`` of the runs as far as they are.

    Args:
      runs: every row with the same seeds.
      workdir: the comparison's directory.
      title: heads the table.

    Returns:
      The table, as text for a terminal.

    Raises:
      ConfigError: a file of a run is damaged.
    """
    by_row: dict[str, list[ComparedRun]] = {}
    for run in runs:
        by_row.setdefault(run.argument, []).append(run)
    seeds = list(dict.fromkeys(run.spec.seed for run in runs))
    score = "map" if runs[0].spec.data.multi_label else "top1"
    evaluations = {
        run: _read(run.folder(workdir) / "evaluation.json")
        for run in runs
        if is_finished(run, workdir)
    }
    rows = [
        _row(argument, [run for run in members if run in evaluations], evaluations, score, workdir)
        for argument, members in by_row.items()
    ]
    judged = _judged(evaluations.values())
    column = _column([members[0].spec for members in by_row.values()])
    options = {"column": column, "score_name": _SCORES[score], "is_accuracy": score == "top1"}

    def table(style: str) -> str:
        return f"{comparison_table(rows, seeds, **options, style=style)} {judged}".rstrip()

    exact = {"title": title, "column": column, "score": score, "seeds": seeds, "judged": judged}
    exact["rows"] = [_exact(row, score == "top1") for row in rows]
    write_json(workdir / "table.json", exact)
    write_bytes(workdir / "table.md", f"# {title}\n\n{table('markdown')}\n".encode())
    plot_comparison(
        {row: [_records(run.folder(workdir)) for run in by_row[row]] for row in by_row},
        workdir / "curves.png",
        score=f"eval/{score}",
        score_name=_SCORES[score],
    )
    return table("plain")


def _row(
    argument: str,
    finished: Sequence[ComparedRun],
    evaluations: Mapping[ComparedRun, Mapping[str, Any]],
    score: str,
    workdir: Path,
) -> ComparisonRow:
    if not finished:
        return ComparisonRow(argument)
    results = [
        SeedResult(
            seed=run.spec.seed,
            score=evaluations[run][score],
            examples=evaluations[run]["examples"],
            step=evaluations[run]["step"],
            minutes=_minutes(_records(run.folder(workdir)), run.spec.train.global_batch),
        )
        for run in finished
    ]
    classes = _read(finished[0].folder(workdir) / "dataset.json")["class_names"]
    model = model_of(finished[0].spec, num_classes=len(classes))
    return ComparisonRow(
        argument,
        parameters=_count(model),
        macs=count_macs(model).total,
        results=tuple(results),
    )


@functools.lru_cache
def _count(model: TimeSformer) -> int:
    return count_parameters(model)["total"]


def _judged(evaluations: Iterable[Mapping[str, Any]]) -> str:
    """On what, which ought to be the same for all."""
    kinds = [
        f"split {e.get('split')} of the data {str(e.get('fingerprint'))[:12]}, "
        f"{e.get('temporal_views')} × {e.get('spatial_crops')} views, {e.get('average')} averaged, "
        f"{e.get('state')} state"
        for e in evaluations
    ]
    kinds = list(dict.fromkeys(kinds))
    if not kinds:
        return ""
    return ("Judged on " if len(kinds) == 1 else "NOT judged alike: ") + "; ".join(kinds) + "."


def _minutes(records: Sequence[Mapping[str, float]], global_batch: int) -> float | None:
    """Of training, from the clips that each line of metrics has and the rate they were seen at."""
    seconds, before = 0.0, 0
    for record in records:
        rate = record.get("timing/clips_per_second")
        if rate:
            seconds += (record["step"] - before) * global_batch / rate
            before = record["step"]
    return seconds / 60 if seconds else None


def _exact(row: ComparisonRow, is_accuracy: bool) -> dict[str, Any]:
    def interval(result: SeedResult) -> list[float] | None:
        known = is_accuracy and result.score is not None
        return list(wilson_interval(result.score, result.examples)) if known else None

    return {
        "name": row.name,
        "parameters": row.parameters,
        "macs": row.macs,
        "mean": row.mean,
        "deviation": row.deviation,
        "runs": [dataclasses.asdict(r) | {"wilson_95": interval(r)} for r in row.results],
    }


def _column(specs: Sequence[RunSpec]) -> str:
    """What the rows differ in, if that is one option."""
    trees = [_flat(to_dict(spec)) for spec in specs]
    keys = [key for key in trees[0] if len({repr(tree[key]) for tree in trees}) > 1]
    keys = [key for key in keys if key != "name"]
    if len(keys) != 1:
        return "run"
    (key,) = keys
    return _COLUMNS.get(key, key.rpartition(".")[2].replace("_", " "))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def _records(folder: Path) -> list[dict[str, float]]:
    path = folder / "metrics.jsonl"
    try:
        return read_metrics(path) if exists(path) else []
    except ValueError as error:
        raise ConfigError(f"{error} Restore it from a copy, or delete {folder}.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(read_bytes(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); restore it from a copy.") from error
