"""What the page draws of a run's lines of metrics."""

from collections.abc import Iterator, Mapping, Sequence

from vidtx.reporting import _page
from vidtx.reporting._charts import Line, line_chart, stacked_bar
from vidtx.reporting.tables import percent
from vidtx.reporting.time_spent import TimeSpent

_LOSS = [
    Line("train/loss", "training", "blue"),
    Line("eval/loss", "evaluation", "vermilion", dots=True),
]
_SHARES = [
    Line("train/accuracy", "training", "blue"),
    Line("eval/top1", "evaluation top-1", "vermilion", dots=True),
    Line("eval/top5", "evaluation top-5", "green", dots=True),
    Line("eval/map", "evaluation mAP", "vermilion", dots=True),
    Line("eval/hit1", "evaluation hit@1", "green", dots=True),
]


def curves(metrics: Sequence[Mapping[str, float]]) -> str:
    """Returns loss, scores, learning rate and gradient norm against the step; nothing of none."""
    rate = [Line("train/learning_rate", "learning rate", "purple")]
    norm = [Line("train/grad_norm", "of the gradient", "green")]
    charts = [
        line_chart("loss", _LOSS, metrics),
        line_chart("accuracy", _SHARES, metrics, shares=True),
        line_chart("learning rate", rate, metrics, from_zero=True),
        line_chart("norm", norm, metrics, from_zero=True),
    ]
    drawn = "\n".join(filter(None, charts))
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def speed(metrics: Sequence[Mapping[str, float]], spent: TimeSpent) -> Iterator[str]:
    """Yields where the time went and the speed against the step; nothing where none is known."""
    if not spent.total:
        return
    clips = [Line("timing/clips_per_second", "clips per second", "blue")]
    wait = [
        Line("timing/input_wait", "waiting for data", "vermilion"),
        Line("timing/mfu", "use of the chips' peak", "green"),
    ]
    parts = [
        ("training", spent.computing, "blue"),
        ("waiting for data", spent.waiting, "vermilion"),
        ("evaluating", spent.evaluating, "green"),
        ("saving", spent.saving, "purple"),
        ("drawing figures and clips", spent.drawing, "grey"),
    ]
    parts = [part for part in parts if part[1] is not None]
    shares = [(name, seconds / spent.total, colour) for name, seconds, colour in parts]
    said = ", ".join(f"{name} {percent(share)}" for name, share, _ in shares)
    yield stacked_bar(shares, f"Where the time went: {said}")
    rows = [
        (f'<i class="swatch {colour}"></i>{name}', _duration(seconds), percent(share))
        for (name, seconds, colour), (_, share, _) in zip(parts, shares, strict=True)
    ]
    yield _page.raw_table(["", "time", "share"], rows, right=(1, 2))
    told = "No speed is known yet"
    if spent.clips_per_second is not None:
        told = f"Median speed {spent.clips_per_second:,.4g} clips per second"
    if spent.input_bound is not None:
        told += f"; input-bound for {percent(spent.input_bound)} of the training"
    if spent.utilisation is not None:
        told += f"; {percent(spent.utilisation)} of the chips' peak"
    yield _page.paragraph(
        f"{told}. Compiling is a part of training; steps that were trained again after a restart "
        "count once."
    )
    charts = [
        line_chart("speed", clips, metrics, from_zero=True),
        line_chart("shares of the time", wait, metrics, shares=True),
    ]
    yield f'<div class="charts">{"".join(charts)}</div>'


def _duration(seconds: float) -> str:
    """Such as ``1:02:03`` or ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
