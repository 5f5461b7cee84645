"""Charts as inline SVG, without scripts: lines against the step, and bars of shares.

Only lines are drawn in SVG, stretched to whatever width there is, with strokes that keep theirs;
letters are HTML beside it, so that they have the same size on a phone and on a wide screen. Colours
are variables of the page, which has other ones in the dark.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from vidtx.reporting.figures import running_mean, series
from vidtx.reporting.tables import percent

_SIDE = 1000  # of the drawing, in units of its own
_POINTS = 240  # of a line; of more, means of equal parts are drawn
_SMOOTHED = 60  # lines of more points are noisy: their running mean is drawn above them
_MARKED = 40  # non-finite values that are marked
_HOVERED = 120  # points that tell their value


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
      key: of the metric.
      label: in the legend.
      colour: one of the page's: blue, vermilion, green or purple.
      dots: whether every value is marked, as of those that are few.
    """

    key: str
    label: str
    colour: str
    dots: bool = False


def line_chart(
    title: str,
    lines: Sequence[Line],
    records: Sequence[Mapping[str, float]],
    *,
    shares: bool = False,
    from_zero: bool = False,
    scale: float = 1.0,
) -> str:
    """Draws metrics against the step.

    Args:
      title: of the chart.
      lines: to draw; those without any value are left out.
      records: as `read_metrics` returns them.
      shares: whether values are shares, shown as percentages from 0 to 100.
      from_zero: whether the axis begins at 0.
      scale: that values are multiplied with.

    Returns:
      HTML; nothing where no line has a value.
    """
    found = [(line, *series(records, line.key)) for line in lines]
    found = [(line, steps, values * scale) for line, steps, values in found if len(steps)]
    if not found:
        return ""
    finite = np.concatenate([values[np.isfinite(values)] for _, _, values in found])
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    ys = [0, 0.25, 0.5, 0.75, 1] if shares else _ticks(0.0 if from_zero else low, high, 4)
    first, last = (edge([edge(steps) for _, steps, _ in found]) for edge in (min, max))
    first = 0.0 if first <= 0.25 * last else first
    xs = [tick for tick in _ticks(first, last, 5) if first <= tick <= last]
    shown = percent if shares else _short

    def x(steps):
        return (np.asarray(steps) - first) / max(last - first, 1e-12) * _SIDE

    def y(values):
        return _SIDE - (np.clip(values, ys[0], ys[-1]) - ys[0]) / (ys[-1] - ys[0]) * _SIDE

    marks = [f'<path class="grid" d="M0 {y(tick):.0f}H{_SIDE}"/>' for tick in ys]
    for line, steps, values in found:
        marks += _drawn(line, x(steps), y(values), steps, values, shown)
    said = "; ".join(_told(line, steps, values, shown) for line, steps, values in found)
    legend = "".join(
        f'<span class="key"><i class="{line.colour}"></i>{escape(line.label)}'
        f"{'' if np.isfinite(values).all() else ' (dotted: not finite)'}</span>"
        for line, _, values in found
    )
    ys_text = [f"{tick * 100:.0f} %" if shares else _short(tick) for tick in ys]
    left = "".join(
        f'<span style="bottom:{100 - y(tick) / _SIDE * 100:.1f}%">{text}</span>'
        for tick, text in zip(ys, ys_text, strict=True)
    )
    below = "".join(
        f'<span style="left:{x(tick) / _SIDE * 100:.1f}%">{_short(tick)}</span>' for tick in xs
    )
    return (
        f'<figure class="chart"><figcaption><b>{escape(title)}</b>{legend}</figcaption>\n'
        f'<div class="plot"><div class="ys" aria-hidden="true">{left}</div>'
        f'<svg viewBox="0 0 {_SIDE} {_SIDE}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(f"{title} against the step: {said}")}">{"".join(marks)}</svg>'
        f'<div class="xs" aria-hidden="true">{below}</div></div></figure>'
    )


def _drawn(line, x, y, steps, values, shown) -> list[str]:
    """The marks of one line: where it is not finite, the line itself, what it says at a point."""
    finite = np.isfinite(values)
    marks = [f'<path class="lost" d="M{place:.1f} 0V{_SIDE}"/>' for place in x[~finite][:_MARKED]]
    x, y, steps, values = (part[finite] for part in (x, y, steps, values))
    if not len(x):
        return marks
    if line.dots or len(x) < _SMOOTHED:
        marks.append(_path(*_thinned(x, y), line.colour))
    else:
        marks.append(_path(*_thinned(x, y), f"{line.colour} noise"))
        smooth = running_mean(y, window=max(5, len(y) // 40))
        marks.append(_path(*_thinned(x, smooth), line.colour))
    every = max(1, -(-len(x) // _HOVERED))
    kind = f"{line.colour} dot" if line.dots or len(x) == 1 else "hover"
    for place in range(len(x) - 1, -1, -every):
        text = escape(f"{line.label}, step {steps[place]:,.0f}: {shown(float(values[place]))}")
        at = f"M{x[place]:.1f} {y[place]:.1f}h0"
        marks.append(f'<path class="{kind}" d="{at}"><title>{text}</title></path>')
    return marks


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= _POINTS:
        return x, y
    parts = [np.array_split(values, _POINTS) for values in (x, y)]
    return tuple(np.array([part.mean() for part in some]) for some in parts)


def _path(x: np.ndarray, y: np.ndarray, kind: str) -> str:
    points = " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<path class="line {kind}" d="M{points}"/>'


def _told(line: Line, steps: np.ndarray, values: np.ndarray, shown) -> str:
    """The line in words, for who cannot see it."""
    first, last = (f"{shown(float(values[i]))} at step {steps[i]:,.0f}" for i in (0, -1))
    return f"{line.label}, {first}" if len(steps) == 1 else f"{line.label} from {first} to {last}"


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers, evenly spaced, that enclose an interval."""
    if not high > low:
        low, high = (low - 0.5 * abs(low or 1), low + 0.5 * abs(low or 1))
    size = 10 ** math.floor(math.log10((high - low) / count))
    step = next(size * f for f in (1, 2, 2.5, 5, 10) if size * f * count >= (high - low) * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _short(value: float) -> str:
    """A number in few letters, such as 1.4k or 2.5e-4."""
    if not math.isfinite(value):
        return str(value)
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    if 0 < abs(value) < 0.01:
        digits, power = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:.3g}"


def stacked_bar(parts: Sequence[tuple[str, float, str]], description: str) -> str:
    """One bar of several parts.

    Args:
      parts: (name, share between 0 and 1, colour of the page) each; together 1.
      description: of the bar, for who cannot see it.
    """
    pieces = "".join(
        f'<i class="{colour}" style="flex-grow:{share:.4f}" '
        f'title="{escape(name)}: {percent(share)}"></i>'
        for name, share, colour in parts
        if share > 0
    )
    return f'<div class="stacked" role="img" aria-label="{escape(description)}">{pieces}</div>'
