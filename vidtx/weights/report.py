"""What became of every array when weights were taken over: of the file, and of the model."""

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

# In the order in which they are told.
FATES = ("used", "resized", "copied", "new", "dropped")

_NUMBER = re.compile(r"(?<![^._/])\d+(?=[._/])")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of the model, or one of the file that the model has no place for.

    Attributes:
      fate: ``used``, as it is but for the order of its axes; ``resized``; ``copied`` from an array
        that is used elsewhere too; ``new``, begun afresh; or ``dropped``.
      ours: its name in the model, such as ``block_0.mlp.fc1.kernel``; None where it was dropped.
      theirs: the names in the file of what it was made of; none where it is new.
      how: what was done, or why, in a few words.
    """

    fate: str
    ours: str | None
    theirs: tuple[str, ...]
    how: str = ""

    def __post_init__(self):
        """Refuses a fate that is none."""
        if self.fate not in FATES:
            raise ValueError(f"fate is {self.fate!r}; it must be one of {', '.join(FATES)}.")


@dataclasses.dataclass(frozen=True)
class Report:
    """Every array accounted for once: of the model by ``ours``, of the file by ``theirs``.

    Attributes:
      entries: one each.
      notes: what else a person should know, a sentence each.
    """

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Entries of each fate."""
        found = collections.Counter(entry.fate for entry in self.entries)
        return {fate: found[fate] for fate in FATES}

    def of(self, *fates: str) -> tuple[Entry, ...]:
        """The entries of some fates."""
        return tuple(entry for entry in self.entries if entry.fate in fates)

    def after(self, earlier: "Report") -> "Report":
        """Both as one, where this one's ``theirs`` are the other one's ``ours``.

        What reading left something of is ``resized``, although all of that is used. What is dropped
        is told by why alone, not by how it was read.

        Args:
          earlier: of reading a file into vidtx's names; this is of fitting those to a model.
        """
        sources = {entry.ours: entry for entry in earlier.entries if entry.ours is not None}
        entries = [entry for entry in earlier.entries if entry.ours is None]
        for entry in self.entries:
            before = [sources[name] for name in entry.theirs]
            theirs = tuple(name for one in before for name in one.theirs)
            read = () if entry.fate == "dropped" else (one.how for one in before)
            how = "; ".join(filter(None, dict.fromkeys([*read, entry.how])))
            cut = entry.fate == "used" and any(one.fate == "resized" for one in before)
            fate = "resized" if cut else entry.fate
            entries.append(dataclasses.replace(entry, fate=fate, theirs=theirs, how=how))
        return Report(tuple(entries), tuple(dict.fromkeys((*earlier.notes, *self.notes))))

    def lines(self) -> Iterator[str]:
        """The report for a person: alike arrays of all blocks in one line, notes at the end."""
        counts = self.counts
        yield ", ".join(f"{counts[fate]:,} {fate}" for fate in FATES if counts[fate])
        for fate in FATES:
            if fate != "used":
                yield from (f"  {fate:<8} {line}" for line in _grouped(self.of(fate)))
        yield from (f"  NOTE: {note}" for note in self.notes)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON, each array by itself."""
        entries = [dataclasses.asdict(entry) for entry in self.entries]
        return {"counts": self.counts, "entries": entries, "notes": list(self.notes)}


def _grouped(entries: Iterable[Entry]) -> Iterator[str]:
    groups: dict[tuple[str, str, str], int] = collections.Counter()
    for entry in entries:
        ours = _NUMBER.sub("*", entry.ours or "", count=1)
        theirs = ", ".join(_NUMBER.sub("*", name, count=1) for name in entry.theirs)
        groups[ours, theirs, entry.how] += 1
    for (ours, theirs, how), count in groups.items():
        arrow = f"{ours} from {theirs}" if ours and theirs not in ("", ours) else ours or theirs
        times = f" (×{count})" if count > 1 else ""
        yield f"{arrow}{times}{f': {how}' if how else ''}"
