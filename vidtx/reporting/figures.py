"""Pictures of a run: its curves, its confusions, what the model sees.

Everything is drawn through `matplotlib.figure.Figure`, never `pyplot`: no window, no global state,
safe beside a training loop. Colours are Okabe and Ito's, told apart by colour-blind readers too.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from vidtx.reporting._sheet import contact_sheet
from vidtx.reporting.files import Path, as_path, replacing

__all__ = ["contact_sheet", "plot_confusion", "plot_curves"]

_BLUE, _VERMILION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#AA4499"
INK, FAINT, _GRID, _MISSING = "#202124", "#5f6368", "#e4e6e9", "#d9dbde"
_DPI = 150

# Panel title → (key, legend, colour, marker); evaluations are few, so each is marked.
_PANELS = {
    "loss": [
        ("train/loss", "training", _BLUE, None),
        ("eval/loss", "evaluation", _VERMILION, "o"),
    ],
    "accuracy": [
        ("train/accuracy", "training", _BLUE, None),
        ("eval/top1", "evaluation top-1", _VERMILION, "o"),
        ("eval/top5", "evaluation top-5", _GREEN, "s"),
        ("eval/map", "evaluation mAP", _VERMILION, "o"),
        ("eval/hit1", "evaluation hit@1", _GREEN, "s"),
    ],
    "learning rate": [("train/learning_rate", "learning rate", _PURPLE, None)],
}


def plot_curves(records: Sequence[Mapping[str, float]], path: str | os.PathLike[str]) -> Path:
    """Draws loss, accuracy and learning rate against the step, one panel each.

    Args:
      records: As `read_metrics` returns them. Drawn is whatever there is of "train/loss",
        "train/accuracy", "train/learning_rate", "eval/loss", "eval/top1" and "eval/top5", or
        "eval/map" and "eval/hit1" (all but losses and rates as shares between 0 and 1).
        Non-finite losses are marked.
      path: The picture to write; its suffix chooses the format.

    Returns:
      `path`.
    """
    panels = {}
    for title, curves in _PANELS.items():
        present = [(*curve, series(records, curve[0])) for curve in curves]
        present = [curve for curve in present if len(curve[-1][0])]
        if present:
            panels[title] = present
    if not panels:
        return save(empty_figure("no metrics written yet"), path)

    heights = [1.3 if title == "learning rate" else 3.0 for title in panels]
    figure = new_figure(8.4, 0.9 + sum(heights))
    rows = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for axes, (title, curves) in zip(rows, panels.items(), strict=True):
        dress(axes)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
        for _, label, colour, marker, (steps, values) in curves:
            _draw_curve(axes, steps, values, label, colour, marker)
        if title == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylim(0, 1.02)
        if title == "learning rate":
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_locator(MaxNLocator(3))
        else:
            axes.legend(frameon=False, labelcolor=INK, loc="best")
    rows[-1].set_xlabel("step", color=FAINT)
    rows[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    rows[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    return save(figure, path)


def plot_confusion(
    matrix: np.ndarray, class_names: Sequence[str], path: str | os.PathLike[str]
) -> Path:
    """Draws a confusion matrix, each row coloured by its shares.

    Up to 30 classes, names and counts are written in; beyond, every cell becomes a square of two
    or more whole pixels, and the colours are stretched so that rare confusions show.

    Args:
      matrix: Counts [C, C]; row: true class, column: predicted class. Rows without clips are grey.
      class_names: C names.
      path: The picture to write; its suffix chooses the format.

    Returns:
      `path`.

    Raises:
      ValueError: If the matrix is not square, is empty, has negative or non-finite counts, or the
        names are not as many as its rows.
    """
    matrix = np.asarray(matrix)
    C = len(class_names)
    if matrix.shape != (C, C) or not C:
        raise ValueError(
            f"A confusion matrix needs one row and one column a class, got {list(matrix.shape)} "
            f"for {C} class names."
        )
    if not np.all(np.isfinite(matrix)) or np.any(matrix < 0):
        raise ValueError("A confusion matrix must hold counts, finite and 0 or more.")
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.ma.masked_where(
        np.broadcast_to(totals == 0, matrix.shape), matrix / np.where(totals == 0, 1, totals)
    )
    draw = _labelled_confusion if C <= 30 else _dense_confusion
    return save(draw(matrix, shares, class_names), path, crop=C <= 30)


def _labelled_confusion(matrix: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> Figure:
    C = len(names)
    cell = 0.9 if C <= 6 else 0.55 if C <= 15 else 0.4  # inches
    side = max(3.0, cell * C)
    figure = new_figure(side + 3.0, side + 2.2)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap=_colours(), vmin=0, vmax=1)
    short = [name if len(name) <= 28 else f"{name[:27]}…" for name in map(str, names)]
    axes.set_xticks(range(C), short, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(C), short)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a name may well hold dollar signs
    size = 10 if C <= 15 else 7
    for row, column in np.argwhere(matrix > 0):
        dark = shares[row, column] > 0.55
        text = _count(matrix[row, column])
        colour = "white" if dark else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    axes.set_xticks(np.arange(C + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(C + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0, colors=INK)
    _finish_confusion(figure, axes, image)
    return figure


def _dense_confusion(matrix: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> Figure:
    C = len(names)
    # A cell is a whole number of pixels: resampled, a diagonal one cell wide would flicker.
    side = C * max(2, 1200 // C) / _DPI
    left, bottom, right, top = 0.9, 0.8, 1.3, 0.5  # inches
    width, height = left + side + right, bottom + side + top
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    image = axes.imshow(
        shares, cmap=_colours(), norm=PowerNorm(0.5, 0, 1), interpolation="nearest", aspect="auto"
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(colors=FAINT)
    bar = figure.add_axes(
        ((left + side + 0.2) / width, bottom / height, 0.16 / width, side / height)
    )
    _finish_confusion(figure, axes, image, bar)
    return figure


def _finish_confusion(figure: Figure, axes: Axes, image, bar: Axes | None = None) -> None:
    axes.set_facecolor(_MISSING)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class", color=FAINT)
    axes.set_ylabel("true class", color=FAINT)
    place = {"cax": bar} if bar else {"ax": axes, "shrink": 0.7, "aspect": 24}
    colorbar = figure.colorbar(image, **place)
    colorbar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    colorbar.set_label("share of the true class", color=FAINT)
    colorbar.ax.tick_params(colors=FAINT, length=0)
    colorbar.outline.set_visible(False)


def _draw_curve(axes: Axes, steps, values, label: str, colour: str, marker: str | None) -> None:
    """Draws one curve; a long noisy one faintly, below its running mean."""
    finite = np.isfinite(values)
    for step in steps[~finite]:
        axes.axvline(step, color=_VERMILION, linewidth=1, linestyle=":")
    if not finite.all():
        label = f"{label} (dotted: not finite)"
    shown = np.where(finite, values, np.nan)
    if marker or len(values) < 60 or label == "learning rate":
        style = {"marker": marker or ("o" if len(values) == 1 else ""), "markersize": 5}
        axes.plot(steps, shown, color=colour, linewidth=1.8, label=label, **style)
        return
    axes.plot(steps, shown, color=colour, linewidth=0.8, alpha=0.3)
    smooth = running_mean(values[finite], window=max(5, len(values) // 40))
    axes.plot(steps[finite], smooth, color=colour, linewidth=1.8, label=label)


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Centred mean over `window` values, over fewer towards both ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    half = window // 2
    # At the start, where a loss falls steeply, the window shrinks on both sides: a lopsided mean
    # would start too low. At the end, where it is flat, the side that has values keeps all of them.
    first = np.maximum(index - half, 0)
    last = np.minimum(index + np.minimum(half, index), len(values) - 1)
    return (total[last + 1] - total[first]) / (last + 1 - first)


def series(records: Sequence[Mapping[str, float]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the lines that have a figure, [N] each."""
    pairs = [(record["step"], record[key]) for record in records if key in record]
    steps, values = zip(*pairs, strict=True) if pairs else ((), ())
    return np.asarray(steps, np.float64), np.asarray(values, np.float64)


def _count(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f}k"  # as much as a cell has room for
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2g}"


def _colours() -> Colormap:
    return colormaps["Blues"].with_extremes(bad=_MISSING)


def dress(axes: Axes) -> None:
    """Gives axes the look of all our plots."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRID)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, length=0)
    axes.margins(x=0.015)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure((width, height), dpi=_DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    FigureCanvasAgg(figure)
    return figure


def empty_figure(text: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure = new_figure(8.4, 2.0)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=FAINT, fontsize=13)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, crop: bool = False) -> Path:
    """Writes a figure whole or not at all; cropped to what is drawn, where asked for."""
    # Cropped is what has labels of unknown length, and never what is drawn to whole pixels.
    box = {"bbox_inches": "tight", "pad_inches": 0.15} if crop else {}
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, **box)
    return as_path(path)
