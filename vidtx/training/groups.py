"""Which parameter gets how much of the optimiser: freezing, groups, layer decay, weight decay.

A parameter's name is its path, joined by slashes, such as ``block_0/attention/qkv/kernel``. A
pattern is a regular expression that must match the whole name.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

import flax.linen as nn
import jax

from vidtx.config import OptimizerSpec
from vidtx.errors import ConfigError

_ALL = "all"
_LISTED = 10


@dataclasses.dataclass(frozen=True)
class Share:
    """What one parameter gets of the optimiser.

    Attributes:
      group: its pattern in ``optimizer.groups``, ``all`` without groups, None if it is frozen.
      rate: factor of the learning rate: of the group times that of the layer.
      decay: factor of the weight decay: of the group, or 0 where ``weight_decay_on`` leaves it out.
    """

    group: str | None
    rate: float
    decay: float

    @property
    def frozen(self) -> bool:
        """Whether the parameter stays as it is."""
        return self.group is None


class GroupRow(NamedTuple):
    """One line of what a run says about its parameters.

    Attributes:
      group: ``frozen``, ``all`` or a pattern; with layer decay, the layer after it.
      arrays: number of parameter arrays.
      parameters: number of weights in them.
      learning_rate: factor of the learning rate.
      weight_decay: factor of the weight decay.
    """

    group: str
    arrays: int
    parameters: int
    learning_rate: float
    weight_decay: float


def settle(spec: OptimizerSpec, params):
    """What every parameter gets.

    Layer decay is that of BEiT (Bao et al. 2022; microsoft/unilm, ``beit/optim_factory.py``) and
    MAE (He et al. 2022; facebookresearch/mae, ``util/lr_decay.py``): with ``depth`` blocks, the
    embeddings get ``layer_decay ** (depth + 1)``, block ``i`` gets ``layer_decay ** (depth - i)``,
    and the last norm and the head get 1. (timm's differs in the last norm, which it gives the last
    block's.) All of an added attention step belongs to its block.

    Args:
      spec: the optimiser's options.
      params: a tree of arrays or abstract arrays, boxed with their axis names or not.

    Returns:
      A tree like ``params``, without boxes, of `Share`.

    Raises:
      ConfigError: a pattern matches nothing, all parameters are frozen, one that is not matches
        no group or several, or layer decay meets a name that it knows no layer for.
    """
    shapes, structure = _shapes(params)
    frozen = {name for name in shapes if any(re.fullmatch(it, name) for it in spec.freeze)}
    _raise_if_any(_freeze_problems(spec, shapes, frozen))
    trained = [name for name in shapes if name not in frozen]
    matches = {
        name: [group for group in spec.groups if re.fullmatch(group[0], name)] for name in trained
    }
    heights = _heights(shapes) if spec.layer_decay < 1 else dict.fromkeys(shapes, 0)
    unknown = [name for name in trained if heights[name] is None]
    _raise_if_any([*_group_problems(spec, shapes, matches), *_layer_problems(unknown)])

    def share(name: str, shape: tuple[int, ...]) -> Share:
        if name in frozen:
            return Share(None, 0.0, 0.0)
        group, rate, decay = matches[name][0] if spec.groups else (_ALL, 1.0, 1.0)
        rate *= spec.layer_decay ** heights[name]
        return Share(group, rate, decay * _decays(spec.weight_decay_on, name, shape))

    return structure.unflatten(share(name, shape) for name, shape in shapes.items())


def describe_groups(spec: OptimizerSpec, params) -> list[GroupRow]:
    """What is frozen, and what learns how fast: frozen parameters first, then group by group.

    Args:
      spec: the optimiser's options.
      params: as for `settle`, which says what this raises.
    """
    shapes, _ = _shapes(params)
    shares = jax.tree.leaves(settle(spec, params))
    order = [None, _ALL, *(pattern for pattern, _, _ in spec.groups)]
    rows = {}
    for (name, shape), share in zip(shapes.items(), shares, strict=True):
        layered = spec.layer_decay < 1 and not share.frozen
        key = (order.index(share.group), share.rate, _top(name) * layered, share.decay)
        arrays, parameters = rows.get(key, (0, 0))
        rows[key] = (arrays + 1, parameters + math.prod(shape))
    return [
        GroupRow(", ".join(filter(None, [order[group] or "frozen", layer])), *counts, rate, decay)
        for (group, rate, layer, decay), counts in sorted(rows.items())
    ]


def _shapes(params) -> tuple[dict[str, tuple[int, ...]], jax.tree_util.PyTreeDef]:
    """The shape of each parameter by name, and the structure that they have without boxes."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(
        params, is_leaf=lambda leaf: isinstance(leaf, nn.meta.AxisMetadata)
    )
    # A box is a tree of one leaf.
    shapes = {
        jax.tree_util.keystr(path, simple=True, separator="/"): jax.tree.leaves(leaf)[0].shape
        for path, leaf in leaves
    }
    return shapes, structure


def _top(name: str) -> str:
    return name.partition("/")[0]


def _decays(decay_on: str, name: str, shape: tuple[int, ...]) -> bool:
    if decay_on == "kernels":
        return "kernel" in name.split("/")
    return decay_on == "all" or len(shape) >= 2


def _heights(names: Iterable[str]) -> dict[str, int | None]:
    """How far below the head each parameter's layer lies; None where there is no telling."""
    blocks = {name: re.match(r"block_(\d+)/", name) for name in names}
    depth = 1 + max((int(block[1]) for block in blocks.values() if block), default=-1)
    known = {"embedding": depth + 1, "norm": 0, "head": 0}
    return {
        name: depth - int(block[1]) if block else known.get(_top(name))
        for name, block in blocks.items()
    }


def _raise_if_any(problems: Iterable[str]) -> None:
    problems = list(problems)
    if problems:
        raise ConfigError("\n".join(problems))


def _freeze_problems(spec: OptimizerSpec, names: Iterable[str], frozen: set[str]) -> Iterator[str]:
    names = list(names)
    for pattern in spec.freeze:
        if not any(re.fullmatch(pattern, name) for name in names):
            yield f"optimizer.freeze has {pattern!r}, {_no_match(pattern, names)}"
    if len(frozen) == len(names):
        yield (
            f"optimizer.freeze is {spec.freeze}, which matches all {len(names)} parameters; leave "
            "some to train, such as the head with optimizer.freeze=('(?!head/).*',)."
        )


def _group_problems(
    spec: OptimizerSpec, names: Iterable[str], matches: Mapping[str, list[tuple]]
) -> Iterator[str]:
    if not spec.groups:
        return
    names = list(names)
    used = {pattern for groups in matches.values() for pattern, _, _ in groups}
    for pattern, _, _ in spec.groups:
        if not any(re.fullmatch(pattern, name) for name in names):
            yield f"optimizer.groups has {pattern!r}, {_no_match(pattern, names)}"
        elif pattern not in used:
            yield (
                f"optimizer.groups has {pattern!r}, which matches only parameters that "
                "optimizer.freeze holds; take it out of one of the two."
            )
    none = [name for name, groups in matches.items() if not groups]
    if none:
        yield (
            f"optimizer.groups has no pattern for {_listed(none)}. Every parameter that is not "
            "frozen must match exactly one; add one for these, with the factors 1.0 and 1.0 if "
            "nothing is to change."
        )
    several = [
        f"{name} ({', '.join(repr(pattern) for pattern, _, _ in groups)})"
        for name, groups in matches.items()
        if len(groups) > 1
    ]
    if several:
        yield (
            f"optimizer.groups has several patterns for {_listed(several)}. Every parameter that "
            "is not frozen must match exactly one; narrow them, for instance with a (?!...) in "
            "front."
        )


def _layer_problems(unknown: list[str]) -> Iterator[str]:
    if unknown:
        yield (
            "optimizer.layer_decay is below 1, but there is no telling the layer of "
            f"{_listed(unknown)}. The names that it knows begin with embedding/, block_<number>/, "
            "norm/ and head/. Set optimizer.layer_decay=1.0."
        )


def _no_match(pattern: str, names: list[str]) -> str:
    """The rest of a sentence about a pattern that matches nothing."""
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents} - {"."}
    known = [*names, *sorted(f"{folder}/.*" for folder in folders)]
    close = difflib.get_close_matches(pattern, known, n=3, cutoff=0.6)
    cure = f"Close to it: {', '.join(close)}."
    if not close:
        cure = f"Their names begin with {_listed(sorted({_top(name) for name in names}))}."
    return f"which matches no parameter; a pattern must match a whole name. {cure}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
