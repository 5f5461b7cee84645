"""Several runs side by side, as curves in one picture."""

import os
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from vidtx.reporting.figures import (
    FAINT,
    INK,
    dress,
    empty_figure,
    new_figure,
    running_mean,
    save,
    series,
)
from vidtx.reporting.files import Path

# Okabe and Ito's, without the yellow that paper swallows; beyond these, lines are dashed.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#E69F00", "#56B4E9", "#202124")
_DASHES = ("-", "--", ":")
_MARKERS = "os^DvPX"

Records = Sequence[Mapping[str, float]]


def plot_comparison(
    rows: Mapping[str, Sequence[Records]],
    path: str | os.PathLike[str],
    *,
    score: str = "eval/top1",
    score_name: str = "top-1",
) -> Path:
    """Draws the score of evaluations and the training loss against the step, a colour a row.

    Of a row of several runs, each is a thin line, and their mean over the steps that all of them
    have is a strong one. Of a long loss, its running mean is drawn.

    Args:
      rows: Name → the metrics of its runs, as `read_metrics` returns them; at most 21 rows look
        different from each other.
      path: The picture to write; its suffix chooses the format.
      score: Key of the evaluations' score, a share between 0 and 1.
      score_name: What the score is called.

    Returns:
      `path`.
    """
    keys = (score, "train/loss")
    if not any(key in record for runs in rows.values() for run in runs for record in run
               for key in keys):  # fmt: skip
        return save(empty_figure("no metrics written yet"), path)
    figure = new_figure(11.0, 4.8)
    panels = figure.subplots(1, 2)
    titles = (f"{score_name} of evaluations", "training loss")
    for axes, title, key in zip(panels, titles, keys, strict=True):
        dress(axes)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
        for number, (name, runs) in enumerate(rows.items()):
            _draw_row(axes, number, name, [_curve(run, key) for run in runs], key == score)
        axes.set_xlabel("step", color=FAINT)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    panels[0].set_ylim(0, 1.02)
    # Of the panel that has more rows: a run is trained before it is judged.
    legends = [axes.get_legend_handles_labels() for axes in panels]
    handles, labels = max(legends, key=lambda legend: len(legend[1]))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(5, len(labels)), frameon=False,
        labelcolor=INK,
    )  # fmt: skip
    return save(figure, path)


def _curve(records: Records, key: str) -> tuple[np.ndarray, np.ndarray]:
    steps, values = series(records, key)
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    if key == "train/loss" and len(values) >= 60:
        values = running_mean(values, window=max(5, len(values) // 40))
    return steps, values


def _draw_row(
    axes: Axes,
    number: int,
    name: str,
    curves: Sequence[tuple[np.ndarray, np.ndarray]],
    marked: bool,
) -> None:
    curves = [curve for curve in curves if len(curve[0])]
    if not curves:
        return
    style = {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _DASHES[number // len(_COLOURS) % len(_DASHES)],
    }
    strong = {"linewidth": 1.8, "label": name, "markersize": 5} | style
    # A single point has no line to be seen by.
    marker = _MARKERS[number % len(_MARKERS)]
    if len(curves) > 1:
        for curve in curves:
            dots = marker if len(curve[0]) == 1 else ""
            axes.plot(*curve, linewidth=0.8, alpha=0.45, marker=dots, markersize=3, **style)
        curves = [_mean(curves)]
    steps, values = curves[0]
    axes.plot(steps, values, marker=marker if marked or len(steps) == 1 else "", **strong)


def _mean(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Over the steps that all curves have."""
    tables = [dict(zip(*curve, strict=True)) for curve in curves]
    steps = sorted(set.intersection(*(set(table) for table in tables)))
    means = [statistics.fmean(table[step] for table in tables) for step in steps]
    return np.asarray(steps), np.asarray(means)
