"""The picture of a video's timeline: how probable its classes are, and what is seen, over time."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from vidtx.reporting.figures import FAINT, INK, new_figure
from vidtx.reporting.files import Path, as_path, replacing

__all__ = ["THUMBNAIL_HEIGHT", "plot_timeline"]

THUMBNAIL_HEIGHT = 160  # pixels that `plot_timeline` shows without enlarging

# Lettering is large for the width, so that it can be read where the picture is 400 pixels wide.
_WIDTH = 6.4  # inches
_DPI = 250
_LETTERS = 12
_ROW, _STRIP, _AXIS, _HEAD = 0.56, 0.9, 0.4, 0.8  # inches, heights
_SIDE = 0.16  # inches, at the left and the right

_MOST_CLASSES = 6
_BAND = 0.52  # of a row; its name stands above
_LONGEST_NAME = 44
_PAPER, _GONE = "#f1f3f4", "#5f6368"
_ALARM = "#B3261E"


def plot_timeline(
    path: str | os.PathLike[str],
    *,
    starts: np.ndarray,
    ends: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    seconds: float,
    title: str,
    thumbnails: Sequence[tuple[float, np.ndarray]] = (),
    broken_off: bool = False,
) -> Path:
    """Draws the likeliest classes of a video over time, a row each, above pictures of it.

    The rows are those of up to six classes that are the likeliest anywhere in the video, in the
    order in which they first are; if one class is so everywhere, also those that come next.

    Args:
      path: the picture to write, PNG, 1,600 pixels wide.
      starts: float ``[N]``, seconds at which windows begin, ascending.
      ends: float ``[N]``, seconds at which they end; where windows overlap, each is drawn to the
        middle of what it shares.
      probabilities: float ``[N, C]``, of each class in each window.
      class_names: ``C`` names.
      seconds: length of the video.
      title: such as the file's name.
      thumbnails: pairs of seconds and uint8 ``[height, width, 3]``, evenly spaced; each is shown
        below its time.
      broken_off: whether nothing is known behind the last window.

    Returns:
      ``path``.

    Raises:
      ValueError: there is no window, or the shapes do not fit together.
    """
    N = len(starts)
    if not N or probabilities.shape != (N, len(class_names)) or len(ends) != N:
        raise ValueError(
            f"A timeline needs one or more windows, got {N} starts, {len(ends)} ends, "
            f"probabilities {list(probabilities.shape)} and {len(class_names)} names."
        )
    rows = _shown_classes(probabilities)
    length = max(float(seconds), float(ends[-1]))
    slot, strip = _slot(thumbnails, length)
    height = _HEAD + _ROW * len(rows) + strip + _AXIS + 0.08 * bool(strip)
    figure = new_figure(_WIDTH, height)
    figure.set_layout_engine("none")
    inside = (_WIDTH - 2 * _SIDE) / _WIDTH

    def place(bottom: float, tall: float) -> Axes:
        return figure.add_axes((_SIDE / _WIDTH, bottom / height, inside, tall / height))

    if strip:
        _draw_thumbnails(place(0.08, strip), thumbnails, slot, length)
    axes = place(strip + _AXIS + 0.08 * bool(strip), _ROW * len(rows))
    _draw_rows(axes, _edges(starts, ends), probabilities, rows, class_names, length)
    if broken_off and length - ends[-1] > 0.005 * length:
        _mark_gone(axes, float(ends[-1]), length, len(rows))
    elif broken_off:
        axes.axvline(length, color=_GONE, linewidth=4, linestyle=":")
    _draw_head(figure, height, title, broken_off)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, format="png")
    return as_path(path)


def _shown_classes(probabilities: np.ndarray) -> list[int]:
    """Classes that are the likeliest somewhere, first those for longest; by when they first are."""
    tops = probabilities.argmax(axis=1)
    counts = np.bincount(tops, minlength=probabilities.shape[1])
    # Behind them those that come nearest to it.
    order = np.lexsort((-probabilities.max(axis=0), -counts))
    wanted = min(_MOST_CLASSES, probabilities.shape[1], max(3, int((counts > 0).sum())))
    chosen = order[:wanted].tolist()
    first = {index: int(np.argmax(tops == index)) for index in chosen if counts[index]}
    return sorted(chosen, key=lambda index: (index not in first, first.get(index, 0)))


def _edges(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Where windows give way to each other, float ``[N + 1]``."""
    return np.concatenate([starts[:1], (ends[:-1] + starts[1:]) / 2, ends[-1:]])


def _draw_rows(
    axes: Axes,
    edges: np.ndarray,
    probabilities: np.ndarray,
    rows: Sequence[int],
    names: Sequence[str],
    length: float,
) -> None:
    for row, index in enumerate(rows):
        top = len(rows) - 1 - row
        axes.add_patch(Rectangle((0, top), length, _BAND, facecolor=_PAPER, edgecolor="none"))
        axes.pcolormesh(
            edges,
            [top, top + _BAND],
            probabilities[None, :, index],
            cmap=colormaps["Blues"],
            vmin=0,
            vmax=1,
            rasterized=True,
        )
        name = str(names[index])
        name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        axes.text(
            0, top + _BAND + 0.06, name, fontsize=_LETTERS, color=INK, va="bottom", parse_math=False
        )
    axes.set_xlim(0, length)
    axes.set_ylim(-0.04, len(rows))
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    steps = [1, 2, 5, 10] if length < 10 else [1, 1.5, 2, 3, 6, 10]
    ticks = [tick for tick in MaxNLocator(5, steps=steps).tick_values(0, length) if tick <= length]
    axes.set_xticks(ticks, [_clock(tick, length) for tick in ticks])
    axes.tick_params(colors=FAINT, length=4, labelsize=_LETTERS - 1)
    for tick, label in zip(ticks, axes.get_xticklabels(), strict=True):
        # Inside the picture at both ends.
        label.set_ha("left" if tick < 0.03 * length else "center")
        label.set_ha("right" if tick > 0.97 * length else label.get_ha())


def _mark_gone(axes: Axes, start: float, end: float, rows: int) -> None:
    axes.add_patch(
        Rectangle(
            (start, 0), end - start, rows - 1 + _BAND, facecolor="white", edgecolor=_GONE,
            hatch="////", linewidth=0,
        )
    )  # fmt: skip
    axes.axvline(start, 0, 1, color=_GONE, linewidth=1.5)


def _draw_head(figure: Figure, height: float, title: str, broken_off: bool) -> None:
    left = _SIDE / _WIDTH
    short = title if len(title) <= _LONGEST_NAME else f"…{title[1 - _LONGEST_NAME :]}"
    figure.text(
        left, 1 - 0.12 / height, short, va="top", fontsize=_LETTERS + 1, fontweight="bold",
        color=INK, parse_math=False,
    )  # fmt: skip
    text, colour = "how probable each class is", FAINT
    if broken_off:
        text, colour = "breaks off: hatched is unreadable", _ALARM
    figure.text(
        left, 1 - 0.41 / height, text, va="top", fontsize=_LETTERS - 1, color=colour
    )  # fmt: skip
    # A key in place of a colour bar, whose ticks would be too small on a phone.
    axes = figure.add_axes((1 - left - 0.22, 1 - 0.56 / height, 0.12, 0.15 / height))
    axes.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap=colormaps["Blues"])
    axes.set_axis_off()
    for x, side, text in ((-0.08, "right", "0 %"), (1.08, "left", "100 %")):
        axes.text(
            x, 0.5, text, transform=axes.transAxes, ha=side, va="center", fontsize=_LETTERS - 1,
            color=FAINT,
        )  # fmt: skip


def _slot(thumbnails: Sequence[tuple[float, np.ndarray]], length: float) -> tuple[float, float]:
    """How wide a thumbnail may be, and how high their strip is, in inches; 0 of none."""
    if not thumbnails:
        return 0.0, 0.0
    times = [time for time, _ in thumbnails]
    across = _WIDTH - 2 * _SIDE
    apart = np.diff(times).min() / length * across if len(times) > 1 and length > 0 else across
    slot = float(np.clip(apart, across / 12, across / 3)) - 0.04
    shapes = [picture.shape[:2] for _, picture in thumbnails]
    return slot, min(_STRIP, max(slot * height / width for height, width in shapes))


def _draw_thumbnails(
    axes: Axes, thumbnails: Sequence[tuple[float, np.ndarray]], slot: float, length: float
) -> None:
    across, tall = _WIDTH - 2 * _SIDE, axes.get_window_extent().height / axes.figure.dpi
    for time, picture in thumbnails:
        height, width = picture.shape[:2]
        scale = min(slot / width, tall / height)
        wide, high = width * scale, height * scale
        middle = time / length * across if length > 0 else across / 2
        middle = float(np.clip(middle, wide / 2, across - wide / 2))
        axes.imshow(
            picture,
            extent=(middle - wide / 2, middle + wide / 2, tall - high, tall),
            interpolation="antialiased",
        )
    axes.set_xlim(0, across)
    axes.set_ylim(0, tall)
    axes.set_aspect("auto")
    axes.set_axis_off()


def _clock(value: float, length: float) -> str:
    if length < 60:
        return f"{value:g} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
