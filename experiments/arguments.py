"""What may stand behind a config's colon: ``key=value`` or a value alone, with commas between.

    k400_divided:variant=S/16,scheme=joint,runlocal
    k400_divided:joint,hr

An experiment takes some of the keys below. All that is wrong with its argument is told at once.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# Of `vidtx.models.SCHEMES`. The last two are divided attention in another order (section 4.7).
SCHEMES = (
    "space",
    "joint",
    "divided",
    "sparse_local_global",
    "axial",
    "divided_space_first",
    "divided_parallel",
)
ORDERS = {
    "time_space": "divided",
    "space_time": "divided_space_first",
    "parallel": "divided_parallel",
}
RUNLOCAL = "runlocal"


class Key(NamedTuple):
    """A key of an argument.

    Attributes:
      choices: its values; empty for a key that takes any of its kind.
      bare: whether a value may stand alone, without ``key=``.
      count: whether its values are whole numbers from 1 on.
    """

    choices: tuple[str, ...] = ()
    bare: bool = False
    count: bool = False

    def takes(self, value: str) -> bool:
        """Whether ``value`` is one of its values."""
        if self.count:
            return value.isdecimal() and value.isascii() and int(value) >= 1
        return value in self.choices if self.choices else bool(value)

    def shown(self, name: str) -> str:
        """What it takes, for a message."""
        values = "|".join(self.choices) or ("1|2|…" if self.count else "NAME")
        return f"{name}={values}" + (", or the value alone" if self.bare else "")


SCHEME = {"scheme": Key(SCHEMES, bare=True), "order": Key(tuple(ORDERS))}
FRAMES = {"frames": Key(bare=True, count=True)}
POSITIONS = {"positions": Key(("none", "space", "space_time"))}
PRETRAIN = {"pretrain": Key(("in1k", "in21k", "k400", "none"))}
VARIANT = {"variant": Key(("S/16", "B/16", "L/16", "B/32"), bare=True)}


def parse(argument: str | None, keys: Mapping[str, Key], *, local: bool = True) -> dict[str, str]:
    """The words of an argument, by key, in the order of ``keys``.

    ``order`` is not among them: it has become a ``scheme``. ``runlocal`` has the value ``local``.

    Args:
      argument: what stands behind the colon, or None.
      keys: that the experiment takes.
      local: whether it takes ``runlocal``.

    Raises:
      ValueError: words that are unknown, given twice or contradict each other. The message tells
        all of them, and what is allowed.
    """
    words = argument.split(",") if argument else []
    found: dict[str, str] = {}
    problems: list[str] = []
    for word in words:
        name, value = _read(word, keys, local)
        if name is None:
            problems.append(f"{word!r} {value}")
        elif name in found:
            problems.append(f"{word!r}: {name} is given already, as {found[name]!r}.")
        else:
            found[name] = value
    problems += _joined(found)
    if problems:
        refuse(argument, problems, keys, local=local)
    return {name: found[name] for name in (*keys, RUNLOCAL) if name in found}


def refuse(
    argument: str | None, problems: list[str], keys: Mapping[str, Key], *, local: bool = True
) -> None:
    """Raises what tells these problems, and what is allowed.

    Raises:
      ValueError: always.
    """
    lines = [f"the argument is {argument!r}:", *(f"  - {problem}" for problem in problems)]
    lines.append("Allowed are, with commas between:")
    lines += [f"    {key.shown(name)}" for name, key in keys.items()] + [f"    {RUNLOCAL}"] * local
    raise ValueError("\n".join(lines))


def _read(word: str, keys: Mapping[str, Key], local: bool) -> tuple[str | None, str]:
    """Key and value of a word; or None, and what is wrong with it."""
    if local and word == RUNLOCAL:
        return word, "local"
    name, equals, value = word.partition("=")
    if not equals:
        bare = [name for name, key in keys.items() if key.bare and key.takes(word)]
        if bare:
            return bare[0], word
        words = [choice for key in keys.values() if key.bare for choice in key.choices]
        return None, "is no word of this experiment" + _near(word, [*words, *[RUNLOCAL] * local])
    if name not in keys:
        return None, "has no key of this experiment" + _near(name, keys)
    key = keys[name]
    if key.takes(value):
        return name, value
    if key.count:
        return None, "must be a whole number of at least 1."
    return None, "has no value of this key" + _near(value, key.choices)


def _near(word: str, known: "list[str] | tuple[str, ...] | Mapping[str, Key]") -> str:
    """The end of a sentence: what may have been meant."""
    folded = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else "."


def _joined(found: dict[str, str]) -> Iterator[str]:
    """Makes a scheme of an order; what is wrong with the two together."""
    order = found.pop("order", None)
    if order is None:
        return
    if found.get("scheme", "divided") not in ("divided", ORDERS[order]):
        yield (
            f"order={order} is one of divided attention, and the scheme is {found['scheme']!r}; "
            "leave out either."
        )
    found["scheme"] = ORDERS[order]
