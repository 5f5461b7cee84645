"""Several runs side by side, as a table of their scores with its uncertainty.

A *row* is what is compared, such as an attention scheme; it may have been trained from several
seeds.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from vidtx.reporting.tables import MISSING, Style, format_table, percent


@dataclasses.dataclass(frozen=True)
class SeedResult:
    """What one finished run says.

    Attributes:
      seed: of the run.
      score: a share between 0 and 1, or None where it is not finite.
      examples: videos judged.
      step: the state that was judged.
      minutes: of training, without evaluations; None where that is not on record.
    """

    seed: int
    score: float | None
    examples: int
    step: int
    minutes: float | None


@dataclasses.dataclass(frozen=True)
class ComparisonRow:
    """One row of a comparison.

    Attributes:
      name: what is compared, such as ``divided``.
      parameters: of the model; None while no run of the row has finished.
      macs: multiply-adds of one view, or None likewise.
      results: of the finished runs, in the order of their seeds.
    """

    name: str
    parameters: int | None = None
    macs: int | None = None
    results: tuple[SeedResult, ...] = ()

    @property
    def scores(self) -> list[float]:
        """Those that are finite."""
        return [result.score for result in self.results if result.score is not None]

    @property
    def mean(self) -> float | None:
        """Of the scores; None without any."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation (n - 1) of the scores over the seeds; None for less than 2."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


def wilson_interval(share: float, examples: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share of independent examples, such as an accuracy.

    Args:
      share: found, between 0 and 1.
      examples: that it was found on.
      level: probability with which such intervals hold the true share.

    Returns:
      Its two ends, within [0, 1].

    Raises:
      ValueError: If the share or the level is no share, or there is no example.
    """
    if not (0 <= share <= 1 and 0 < level < 1 and examples > 0):
        raise ValueError(
            f"{share=} and {level=} must lie between 0 and 1, and {examples=} be above 0."
        )
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    scale = 1 + z**2 / examples
    centre = (share + z**2 / (2 * examples)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / examples + (z / (2 * examples)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def comparison_table(
    rows: Sequence[ComparisonRow],
    seeds: Sequence[int],
    *,
    column: str = "run",
    score_name: str = "top-1",
    is_accuracy: bool = True,
    style: Style = "markdown",
) -> str:
    """Formats a comparison; what is not there yet is a dash.

    Args:
      rows: In the order of the table.
      seeds: That every row is trained from. With one, the score has the 95 % Wilson interval over
        the videos; with several, it is their mean ± sample standard deviation, and each seed's own
        score follows.
      column: Header of the rows' names.
      score_name: Header of the score.
      is_accuracy: Whether the score is a share of videos, so that it has a Wilson interval.
      style: As for `format_table`.

    Returns:
      The table and a line that says what the uncertainty is, without a line break at the end.
    """
    several = len(seeds) > 1
    headers = [column, "parameters", "GMACs", "steps", "minutes", score_name]
    if several:
        headers += [f"seed {seed}" for seed in seeds]
    elif is_accuracy:
        headers.append("95 % interval")
    cells = []
    for row in rows:
        minutes = [result.minutes for result in row.results if result.minutes is not None]
        line = [
            row.name,
            None if row.parameters is None else f"{row.parameters:,}",
            None if row.macs is None else _giga(row.macs),
            "/".join(sorted({f"{result.step:,}" for result in row.results})) or None,
            f"{statistics.fmean(minutes):.1f}" if minutes else None,
            percent(row.mean),
        ]
        if several:
            by_seed = {result.seed: result.score for result in row.results}
            if row.deviation is not None:
                line[-1] = f"{row.mean * 100:.1f} ± {row.deviation * 100:.1f} %"
            line += [percent(by_seed.get(seed)) for seed in seeds]
        elif is_accuracy:
            line.append(_interval(row))
        cells.append(line)
    return f"{format_table(cells, headers, style=style)}\n\n{_note(rows, seeds, is_accuracy)}"


def _interval(row: ComparisonRow) -> str:
    if row.mean is None:
        return MISSING
    low, high = wilson_interval(row.mean, row.results[0].examples)
    return f"{low * 100:.1f} to {high * 100:.1f} %"


def _note(rows: Sequence[ComparisonRow], seeds: Sequence[int], is_accuracy: bool) -> str:
    judged = sorted({result.examples for row in rows for result in row.results})
    videos = f"{' or '.join(f'{count:,}' for count in judged)} videos" if judged else "the videos"
    parts = "GMACs: multiply-adds of one view. Minutes: of training a run, without evaluations."
    if len(seeds) > 1:
        return (
            f"{parts} Scores: mean ± sample standard deviation over seeds, each judged on {videos}."
        )
    if is_accuracy:
        return f"{parts} Interval: Wilson's, over {videos}; it knows nothing of other seeds."
    return f"{parts} Judged on {videos}."


def _giga(macs: int) -> str:
    giga = macs / 1e9
    return f"{giga:,.2f}" if giga >= 10 else f"{giga:.3g}"
