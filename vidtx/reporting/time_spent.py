"""Where the time of a run went, from its lines of metrics."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

# What is measured beside the speed of training: seconds since the last line that has it. Saving is
# within the time that the speed is taken over, evaluating and drawing are not.
EVALUATING = "timing/eval_seconds"
SAVING = "timing/save_seconds"
DRAWING = "timing/draw_seconds"


@dataclasses.dataclass(frozen=True)
class TimeSpent:
    """Seconds of a run, None where they were not measured, and its speed.

    Attributes:
      computing: the devices were at work, or the first step was compiled.
      waiting: a batch was waited for while they had nothing to do; an upper bound.
      saving: the loop waited for checkpoints.
      evaluating: the model was judged.
      drawing: figures, clips and the report were drawn after evaluations.
      clips_per_second: median over the lines of metrics, or None where there are none.
      utilisation: likewise, the share of the chips' peak; None where the chip is not known.
    """

    computing: float
    waiting: float
    saving: float | None
    evaluating: float | None
    drawing: float | None
    clips_per_second: float | None
    utilisation: float | None

    @property
    def total(self) -> float:
        """All seconds that are accounted for."""
        parts = (self.computing, self.waiting, self.saving, self.evaluating, self.drawing)
        return sum(filter(None, parts))

    @property
    def input_bound(self) -> float | None:
        """The share of training, in which batches were waited for; None where nothing is known."""
        training = self.computing + self.waiting
        return self.waiting / training if training else None


def time_spent(records: Sequence[Mapping[str, float]], global_batch: int) -> TimeSpent:
    """Adds up what the lines of metrics say.

    Args:
      records: as `read_metrics` returns them. Steps that were trained again after a restart count
        once.
      global_batch: clips of a step.
    """
    known = [r for r in records if r.get("timing/clips_per_second", 0) > 0]
    training, waiting, before = 0.0, 0.0, 0
    for record in known:
        clips = (record["step"] - before) * global_batch
        seconds = clips / record["timing/clips_per_second"]
        training += seconds
        waiting += seconds * min(record.get("timing/input_wait", 0.0), 1.0)
        before = record["step"]
    # After the last line of training a checkpoint is saved that no speed knows of.
    within = sum(r.get(SAVING, 0.0) for r in records if r["step"] < before or r in known[-1:])

    def total(key: str) -> float | None:
        seconds = [record[key] for record in records if key in record]
        return sum(seconds) if seconds else None

    def median(key: str) -> float | None:
        values = [record[key] for record in known if key in record]
        return statistics.median(values) if values else None

    return TimeSpent(
        computing=max(0.0, training - waiting - within),
        waiting=waiting,
        saving=total(SAVING),
        evaluating=total(EVALUATING),
        drawing=total(DRAWING),
        clips_per_second=median("timing/clips_per_second"),
        utilisation=median("timing/mfu"),
    )
