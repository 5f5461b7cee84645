"""What is asked about a model's attention, checked against the model as a whole."""

import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from vidtx.analysis.attention import raw_problems
from vidtx.analysis.attention_rows import query_problems
from vidtx.models import SCHEMES, TimeSformer

__all__ = ["METHODS", "Question"]

METHODS = ("rollout", "relevance", "raw")

_ALONE = {
    "class_name": ("--class", "relevance", "is about no class"),
    "layer": ("--layer", "raw", "goes through all layers"),
    "step": ("--step", "raw", "goes through all steps"),
    "head": ("--head", "raw", "averages over all heads"),
}


@dataclasses.dataclass(frozen=True)
class Question:
    """Which maps are wanted.

    Attributes:
      method: ``rollout``, ``relevance`` or ``raw``; see `vidtx.analysis.attention`.
      class_name: that relevance is about, its name or number; None for the predicted one.
      layer: of raw maps, the block's number from 0, or from -1 backwards; None for the last.
      step: of raw maps, its name; None for the one with the class token.
      head: of raw maps, its number; None for the mean.
      query: (frame, row, column) of the patch that looks; None for the class token.
    """

    method: str = "rollout"
    class_name: str | int | None = None
    layer: int | None = None
    step: str | None = None
    head: int | None = None
    query: tuple[int, int, int] | None = None

    def problems(
        self, model: TimeSformer, class_names: Sequence[str], grid: tuple[int, int, int]
    ) -> list[str]:
        """What is wrong with it, a sentence each.

        Args:
          model: that is looked at.
          class_names: in the order of the head.
          grid: ``(T, H, W)`` of a clip.
        """
        return list(self._problems(model, class_names, grid))

    def _problems(self, model, class_names, grid) -> Iterator[str]:
        if self.method not in METHODS:
            yield f"--method is {self.method!r}; it must be one of {', '.join(METHODS)}."
            return
        for name, (flag, method, why) in _ALONE.items():
            if getattr(self, name) is not None and self.method != method:
                yield f"{flag} belongs to --method={method}: {self.method} {why}."
        if self.method == "relevance":
            if self.query is not None:
                yield "--query does not go with --method=relevance, which starts from a class."
            if self.class_name is not None:
                yield from _class_problems(self.class_name, class_names)
        elif self.method == "raw":
            yield from raw_problems(model, grid, **self.raw_arguments(model))
        else:
            yield from query_problems(grid, self.query)

    def raw_arguments(self, model: TimeSformer) -> dict[str, Any]:
        """Arguments of `vidtx.analysis.attention.raw`."""
        return {
            "block": -1 if self.layer is None else self.layer,
            "step": self.step or SCHEMES[model.scheme].vit_step.name,
            "head": self.head,
            "query": self.query,
        }

    def class_index(self, class_names: Sequence[str]) -> int | None:
        """The class that relevance is about; None for the predicted one."""
        if self.class_name is None:
            return None
        if self.class_name in class_names:
            return list(class_names).index(self.class_name)
        return int(self.class_name)

    def to_dict(self, model: TimeSformer, class_name: str) -> dict[str, Any]:
        """The question with all defaults filled in, plain values.

        Args:
          model: that is looked at.
          class_name: that relevance turned out to be about.
        """
        told: dict[str, Any] = {"name": self.method, "scheme": model.scheme, "layers": model.depth}
        if self.method == "relevance":
            return told | {"class": class_name}
        query = None if self.query is None else list(self.query)
        if self.method == "raw":
            asked = self.raw_arguments(model)
            told |= {"layer": asked["block"] % model.depth, "step": asked["step"]}
            told["head"] = "mean" if self.head is None else self.head
        return told | {"query": query}

    def describe(self, model: TimeSformer, class_name: str) -> str:
        """The question in words; arguments as of `to_dict`."""
        if self.method == "relevance":
            return (
                f"What speaks for {class_name!r}: gradient-weighted relevance through all "
                f"{model.depth} layers ({model.scheme})"
            )
        looks = "the class token"
        if self.query is not None:
            looks = "the framed patch (frame {}, row {}, column {})".format(*self.query)
        if self.method == "rollout":
            return (
                f"What {looks} looks at: attention rollout through all {model.depth} layers "
                f"({model.scheme})"
            )
        asked = self.raw_arguments(model)
        layer = asked["block"] % model.depth
        heads = f"mean of {model.num_heads} heads" if self.head is None else f"head {self.head}"
        return (
            f"What {looks} looks at: attention weights of layer {layer} of 0 to {model.depth - 1}, "
            f"{asked['step']} step, {heads}"
        )


def _class_problems(asked: str | int, class_names: Sequence[str]) -> Iterator[str]:
    text = str(asked)
    if asked in class_names or (text.isascii() and text.isdigit() and int(text) < len(class_names)):
        return
    close = difflib.get_close_matches(text, class_names, n=3)
    if not close and len(class_names) <= 20:
        close = list(class_names)
    meant = f" The classes are called {', '.join(close)}." if close else ""
    yield (
        f"--class is {text!r}; it must be the name of a class or its number, 0 to "
        f"{len(class_names) - 1}.{meant}"
    )
