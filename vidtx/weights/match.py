"""Names and shapes of weights beside those of a model: what can be taken, and what cannot.

No array is looked into, so that a checkpoint need not be read to know what would become of it.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidtx.errors import CheckpointError
from vidtx.models import TimeSformer, get_scheme
from vidtx.weights.report import Entry, Report
from vidtx.weights.resize import RESIZES
from vidtx.weights.source import Architecture, Source

__all__ = ["HEAD", "POSITION", "TIME", "match", "parameter_shapes", "patch_grid"]

POSITION, TIME, HEAD = "embedding.position", "embedding.time", "head."
_IN_A_STEP = re.compile(r"(?P<block>block_\d+)\.(?P<step>[^.]+)\.(?P<rest>.+)")
_BLOCK = re.compile(r"(?<=block_)\d+")
# What of a block's own attention an added step starts from; its output layer starts at zero.
_COPIED = {"norm": "norm1", "attention": "attention"}


def match(
    source: Source, model: TimeSformer, *, resize: str = "nearest", keep_head: bool = True
) -> Report:
    """What `vidtx.weights.fit` would do, by names and shapes alone.

    Args, raises: as `vidtx.weights.fit`; in the place of arrays, anything with shape and type.

    Returns:
      Entries whose ``theirs`` are names of ``source.params``, also of what it would drop.
    """
    if resize not in RESIZES:
        raise ValueError(f"resize is {resize!r}; it must be one of {', '.join(RESIZES)}.")
    matched = _Match(source, model, resize, keep_head)
    entries = [*matched.entries(), *matched.dropped()]
    differing = list(_differing(source.architecture, model))
    if differing or matched.offenders:
        raise CheckpointError(_refusal(source, differing, matched.offenders))
    return Report(tuple(entries), tuple(_notes(source.architecture, model)))


@functools.lru_cache(maxsize=16)
def parameter_shapes(model: TimeSformer) -> Mapping[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a model's parameters by their names, such as ``block_0.norm1.scale``."""
    # Neither depends on the clip, nor on what computes attention, which may not be here.
    model = model.clone(attention="xla", platform=None, remat="none", scan_layers=False)
    clip = jnp.zeros((1, 1, model.patch_size, model.patch_size, 3))
    params = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), clip)["params"])
    return {
        ".".join(key.key for key in path): leaf for path, leaf in jax.tree.leaves_with_path(params)
    }


def patch_grid(of: Architecture | TimeSformer) -> tuple[int, int]:
    """``(H, W)`` of the pictures that a model is trained on, in patches."""
    height, width = of.image_size
    return height // of.patch_size, width // of.patch_size


class _Match:
    """Names of a model beside those of a source; collects what does not fit."""

    def __init__(self, source: Source, model: TimeSformer, resize: str, keep_head: bool):
        self._theirs, self._ours = source.params, parameter_shapes(model)
        self._model, self._architecture = model, source.architecture
        self._resize, self._keep_head = resize, keep_head
        self._added = _added_steps(model.scheme)
        self._added_there = _added_steps(source.architecture.scheme)
        self.offenders: list[tuple[str, str, str]] = []

    def entries(self) -> Iterator[Entry]:
        """One for each array of the model."""
        for name in self._ours:
            if name.startswith(HEAD):
                yield self._head(name)
            elif name in (POSITION, TIME):
                yield self._embedding(name)
            elif name in self._theirs:
                yield self._used(name, name)
            else:
                yield self._added_step(name)

    def dropped(self) -> Iterator[Entry]:
        """One for each array of the source that the model has no place for, or does not take."""
        for name in self._theirs:
            if name.startswith(HEAD):
                why = "" if self._takes_head() else self._why_no_head()
                if why:
                    yield Entry("dropped", None, (name,), why)
            elif name in self._ours:
                continue
            elif name in (POSITION, TIME):
                yield Entry("dropped", None, (name,), f"the model has no {_what(name)} embedding")
            elif (step := _step_of(name)) in self._added_there - self._added:
                why = f"{self._model.scheme} attention has no {step} step"
                yield Entry("dropped", None, (name,), why)
            else:
                self.offenders.append((name, _described(self._theirs[name]), "absent"))

    def _used(self, ours: str, theirs: str, fate: str = "used", how: str = "") -> Entry:
        there, here = _described(self._theirs[theirs]), _described(self._ours[ours])
        if there != here and ours == theirs:  # one that is copied is used as well, and told there
            self.offenders.append((theirs, there, here))
        return Entry(fate, ours, (theirs,), how)

    def _takes_head(self) -> bool:
        heads = [name for name in self._ours if name.startswith(HEAD)]
        return self._keep_head and all(
            name in self._theirs and self._theirs[name].shape == self._ours[name].shape
            for name in heads
        )

    def _why_no_head(self) -> str:
        there, here = self._architecture.num_classes, self._model.num_classes
        if there != here:
            return f"it is of {there:,} classes, and the model has {here:,}"
        return "it is left out"

    def _head(self, name: str) -> Entry:
        if self._takes_head():
            return self._used(name, name)
        why = self._why_no_head() if name in self._theirs else "the weights have no head"
        start = "zero" if name.endswith("bias") else _normal(self._model.init_stddev)
        return Entry("new", name, (), f"{start}; {why}")

    def _embedding(self, name: str) -> Entry:
        if name not in self._theirs:
            stddev = {POSITION: self._model.init_stddev, TIME: self._model.time_init_stddev}[name]
            return Entry("new", name, (), f"{_normal(stddev)}; the weights have none")
        there, here = self._theirs[name], self._ours[name]
        if (there.shape[0], *there.shape[2:], there.dtype) != (1, here.shape[2], here.dtype):
            return self._used(name, name)
        if name == TIME:
            before, now = there.shape[1], here.shape[1]
            how = f"{before} → {now} frames, the nearest"
            return Entry("used", name, (name,)) if before == now else _resized(name, how)
        grid, own_grid = patch_grid(self._architecture), patch_grid(self._model)
        if there.shape[1] != 1 + grid[0] * grid[1]:
            expected = f"{grid[0]}×{grid[1]} patches and a class token expected"
            self.offenders.append((name, _described(there), expected))
        if grid == own_grid:
            return Entry("used", name, (name,))
        way = f"{_by(grid)} → {_by(own_grid)} patches"
        if self._resize != "nearest_1d":
            return _resized(name, f"{way}, {self._resize} in 2-D")
        if there.shape == here.shape:
            how = f"{way}, as they are, being as many (nearest_1d)"
            return Entry("used", name, (name,), how)
        return _resized(name, f"{way}, nearest in 1-D, as the authors' loader does")

    def _added_step(self, name: str) -> Entry:
        step = _step_of(name)
        if step not in self._added - self._added_there:
            self.offenders.append((name, "absent", _described(self._ours[name])))
            return Entry("new", name, ())
        parts = _IN_A_STEP.fullmatch(name)
        part, _, rest = parts["rest"].partition(".")
        origin = _COPIED.get(part)
        if origin is None:
            return Entry("new", name, (), "zero, so that the step does nothing at first")
        origin = f"{parts['block']}.{origin}.{rest}"
        if origin not in self._theirs:  # told where the block's own is missed
            return Entry("new", name, ())
        return self._used(name, origin, "copied", f"the weights have no {step} step")


def _added_steps(scheme: str | None) -> frozenset[str]:
    return frozenset(step.name for step in get_scheme(scheme or "space").added_steps)


def _step_of(name: str) -> str | None:
    parts = _IN_A_STEP.fullmatch(name)
    return parts and parts["step"]


def _by(grid: tuple[int, int]) -> str:
    return "×".join(map(str, grid))


def _what(name: str) -> str:
    return name.rpartition(".")[2]


def _resized(name: str, how: str) -> Entry:
    return Entry("resized", name, (name,), how)


def _normal(stddev: float) -> str:
    return f"normal with standard deviation {stddev:g}" if stddev else "zero"


def _described(leaf: Any) -> str:
    return f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"


def _differing(there: Architecture, model: TimeSformer) -> Iterator[tuple[str, str, str]]:
    """Options of the model that decide its weights' shapes, or what they mean, and differ."""
    for option in ("embed_dim", "depth", "num_heads", "patch_size"):
        before, now = getattr(there, option), getattr(model, option)
        if before != now:
            yield option, f"{before:,}", f"{now:,}"


def _refusal(
    source: Source, differing: list[tuple[str, str, str]], offenders: list[tuple[str, str, str]]
) -> str:
    # Alike arrays of all blocks in one line.
    groups: dict[tuple[str, str, str], int] = {}
    for name, there, here in offenders:
        key = _BLOCK.sub("*", name), there, here
        groups[key] = groups.get(key, 0) + 1
    lines = [f"{option}: {there} there, {here} in the model" for option, there, here in differing]
    for (name, there, here), count in sorted(groups.items()):
        times = f" (×{count})" if count > 1 else ""
        lines.append(f"{name}{times}: {there} there, {here} in the model")
    listing = "\n".join(f"  - {line}" for line in lines)
    own = source.architecture
    guessed = [f" {note}" for note in source.report.notes if "number of heads" in note]
    return (
        f"The weights of {source.path} are not of this model:\n{listing}\nThey are of "
        f"{own.name} with embed_dim={own.embed_dim}, depth={own.depth}, "
        f"num_heads={own.num_heads}: give the model these, or name other weights. Scheme, frames, "
        f"image size and classes may differ.{''.join(guessed)}"
    )


def _notes(there: Architecture, model: TimeSformer) -> Iterator[str]:
    if not there.is_image_model and there.scheme != model.scheme:
        yield (
            f"The weights were trained with {there.scheme} attention, and the model has "
            f"{model.scheme}."
        )
