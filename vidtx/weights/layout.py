"""A layout: how a library names and stores the arrays of a model, as a list of rows."""

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vidtx.weights.forms import Form

# The number of a block: the first one in a name that stands between separators.
_BLOCK = re.compile(r"(?<=[._/])\d+(?=[./])")


@dataclasses.dataclass(frozen=True)
class Row:
    """One of our arrays, or one of every block.

    Attributes:
      ours: its name, such as ``block_{i}.norm1.scale``.
      theirs: names of what it is made of, in the form's order, such as ``blocks.{i}.norm1.weight``.
      form: how ours lies in theirs.
    """

    ours: str
    theirs: tuple[str, ...]
    form: Form


@dataclasses.dataclass(frozen=True)
class Drop:
    """Arrays that a layout may hold and that our model has no use for.

    Attributes:
      pattern: of their names, the whole.
      reason: why they are left out.
      summary: a name for all of them, where one by one would tell nobody anything.
      head: why the head is left out with them; None where it is not.
    """

    pattern: str
    reason: str
    summary: str | None = None
    head: str | None = None


@dataclasses.dataclass(frozen=True)
class Match:
    """Keys of a file by a layout.

    Attributes:
      layout: the layout.
      found: our name and the place among its ``theirs`` to the file's keys that say they are it.
      dropped: the file's keys to what they are dropped by.
      unknown: the file's keys that the layout does not know.
      prefixes: what was stripped of the keys of ``found``, such as ``module.model.``.
    """

    layout: "Layout"
    found: Mapping[tuple[str, int], list[str]]
    dropped: Mapping[str, Drop]
    unknown: list[str]
    prefixes: frozenset[str]

    @property
    def score(self) -> int:
        """Keys that the layout knows."""
        return sum(map(len, self.found.values())) + len(self.dropped)

    @property
    def names(self) -> frozenset[str]:
        """Our names of which something was found."""
        return frozenset(name for name, _ in self.found)

    @property
    def depth(self) -> int:
        """Blocks, by the highest number."""
        numbers = (re.match(r"block_(\d+)\.", name) for name in self.names)
        return 1 + max((int(match[1]) for match in numbers if match), default=-1)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a library names and stores the arrays of a model.

    Attributes:
      title: for a person, such as ``ViT (timm)``.
      rows: every array that it may hold.
      prefix: before all names but those of ``bare``, as it is written.
      bare: beginnings of names that have no prefix.
      strip: prefixes that a file's names may have, in any number and order.
      renamed: beginnings of names that some files have, to what they are here.
      drops: what it may hold besides.
      of_images: whether it is of an image model.
      writes: whether it can be written; one that leaves something out cannot.
      note: what a person should know who reads one.
    """

    title: str
    rows: tuple[Row, ...]
    prefix: str = ""
    bare: tuple[str, ...] = ()
    strip: tuple[str, ...] = ()
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drops: tuple[Drop, ...] = ()
    of_images: bool = True
    writes: bool = True
    note: str | None = None

    def match(self, keys: Iterable[str]) -> Match:
        """Finds the keys of a file in the rows."""
        slots = {
            theirs: (row.ours, place)
            for row in self.rows
            for place, theirs in enumerate(row.theirs)
        }
        found, dropped, unknown = collections.defaultdict(list), {}, []
        prefixes = set()
        for key in keys:
            name, prefix = self._stripped(key)
            number = _BLOCK.search(name)
            slot = slots.get(_BLOCK.sub("{i}", name, count=1)) or slots.get(name)
            drop = next((drop for drop in self.drops if re.fullmatch(drop.pattern, name)), None)
            if slot is not None:
                ours, place = slot
                found[_numbered(ours, number[0] if number else ""), place].append(key)
                prefixes.add(prefix)
            elif drop is not None:
                dropped[key] = drop
            else:
                unknown.append(key)
        why = next((drop.head for drop in dropped.values() if drop.head is not None), None)
        if why is not None:
            for slot in [slot for slot in found if slot[0].startswith("head.")]:
                dropped |= {key: Drop(re.escape(key), why) for key in found.pop(slot)}
        return Match(self, found, dropped, unknown, frozenset(prefixes))

    def theirs(self, ours: str) -> tuple[str, ...]:
        """The names of what one of our arrays is made of, without a prefix.

        Raises:
          KeyError: the layout has no place for it.
        """
        row, number = self._row(ours)
        return tuple(_numbered(name, number) for name in row.theirs)

    def form(self, ours: str) -> Form:
        """How one of our arrays is stored.

        Raises:
          KeyError: the layout has no place for it.
        """
        return self._row(ours)[0].form

    def read(self, ours: str, theirs: Sequence[np.ndarray]) -> np.ndarray:
        """One of our arrays, float32, from what it is made of, in the order of `theirs`."""
        # A copy always: what was read may be a file's memory, which changes with the file.
        return np.array(self.form(ours).read(*theirs), np.float32, order="C")

    def write(
        self, params: Mapping[str, np.ndarray], *, num_heads: int | None = None
    ) -> dict[str, np.ndarray]:
        """The arrays that a file of this layout holds, by its names.

        Args:
          params: ours, such as ``block_0.mlp.fc1.kernel``, of any model that the layout has a place
            for; without a head, or of an image model, what is not there is not written.
          num_heads: of the model; needed where the layout keeps heads apart.

        Raises:
          ValueError: the layout has no place for some of them, cannot be written, or needs the
            number of heads.
        """
        if not self.writes:
            raise ValueError(f"{self.title} can be read only: it holds what vidtx leaves out.")
        homeless = [name for name in params if self._find(name) is None]
        if homeless:
            raise ValueError(f"{self.title} has no place for {', '.join(sorted(homeless))}.")
        if num_heads is None and any(row.form.per_head for row in self.rows):
            raise ValueError(f"{self.title} keeps heads apart; num_heads must be given.")
        return {
            self._prefixed(name): np.ascontiguousarray(array)
            for ours, value in params.items()
            for name, array in zip(
                self.theirs(ours),
                self.form(ours).write(np.asarray(value), num_heads),
                strict=True,
            )
        }

    def _find(self, ours: str) -> tuple[Row, str] | None:
        number = re.match(r"block_(\d+)\.", ours)
        name = f"block_{{i}}.{ours[number.end() :]}" if number else ours
        row = next((row for row in self.rows if row.ours == name), None)
        return None if row is None else (row, number[1] if number else "")

    def _row(self, ours: str) -> tuple[Row, str]:
        found = self._find(ours)
        if found is None:
            raise KeyError(f"{self.title} has no place for {ours}.")
        return found

    def _prefixed(self, name: str) -> str:
        return name if name.startswith(self.bare) else self.prefix + name

    def _stripped(self, key: str) -> tuple[str, str]:
        name = key
        while prefix := next(filter(name.startswith, self.strip), None):
            name = name.removeprefix(prefix)
        prefix = key.removesuffix(name)
        for old, new in self.renamed.items():
            if name.startswith(old):
                name = new + name.removeprefix(old)
        return name, prefix


def _numbered(template: str, number: str) -> str:
    return template.replace("{i}", number)
