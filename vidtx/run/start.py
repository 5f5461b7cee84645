"""The weights that a run begins with: read, fitted to its model, put where they are to lie."""

import dataclasses
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, Sharding

from vidtx.checkpoints.digests import named_leaves
from vidtx.config import RunSpec
from vidtx.inference.sources import is_foreign, is_on_hub, open_for, read_checkpoint
from vidtx.models import TimeSformer
from vidtx.reporting.files import Path, check_reachable
from vidtx.run.contract import check_contract, head_taken
from vidtx.run.workdir import write_json
from vidtx.sharding import processes, replicated
from vidtx.weights import Report, Source, fit
from vidtx.weights.match import match
from vidtx.weights.source import Array

_LONGEST_SHOWN = 100  # characters of a value that differs between hosts


@dataclasses.dataclass(frozen=True)
class FirstWeights:
    """Weights on the mesh, ready to take the place of a model's own.

    Attributes:
      source: what they were read from, without its arrays.
      resize: how position embeddings of another grid were resized.
      taken: by their names, placed as the parameters that they replace, none sharing memory.
      report: every array of the model and of the source accounted for.
    """

    source: Source
    resize: str
    taken: Mapping[str, jax.Array]
    report: Report

    def over(self, params: Any) -> Any:
        """``params`` with what was taken in the place of its own."""
        leaves = [self.taken.get(name, leaf) for name, leaf in named_leaves(params).items()]
        return jax.tree.unflatten(jax.tree.structure(params), leaves)

    def lines(self) -> list[str]:
        """What a person should know, a line each."""
        of = f"Begins with the weights of {self.source.path} ({self.source.layout}):"
        return [of, *(f"  {line}" for line in self.report.lines())]

    def write(self, folder: Path) -> None:
        """Writes ``init_from.json`` into a run directory."""
        facts = {
            "source": self.source.path,
            "layout": self.source.layout,
            "architecture": dataclasses.asdict(self.source.architecture),
            "resize": self.resize,
            **self.report.to_dict(),
        }
        write_json(folder / "init_from.json", facts)


def check_source(spec: RunSpec) -> None:
    """Looks whether there is anything of the name that a run is to begin with; reads nothing of it.

    A model of the Hub is not asked for.

    Raises:
      ConfigError: there is not, or it is in another kind of store.
      MachineError: its bucket cannot be reached.
    """
    path = spec.train.init_from
    if path is not None and not is_on_hub(path):
        check_reachable(path)
        is_foreign(path)


def first_weights(
    spec: RunSpec,
    model: TimeSformer,
    params: Any,
    mesh: Mesh,
    class_names: tuple[str, ...],
    note: Callable[[str], None],
) -> FirstWeights | None:
    """The weights that a run is to begin with, or None; all processes call it together.

    Of a checkpoint no device reads more than its share, but for embeddings that are resized;
    another library's files are read by every host, and each device is given its share.

    Args:
      spec: the run.
      model: its model.
      params: that model's, a tree of `jax.ShapeDtypeStruct` with their places on the mesh.
      mesh: the devices.
      class_names: of the data set, in the order of the head.
      note: told what a person should know, by all processes.

    Raises:
      ConfigError: there is nothing of that name, or it wants clips that are prepared otherwise.
      CheckpointError: it cannot be read, or is not of this model.
      MachineError: it cannot be reached, or memory does not suffice.
    """
    path, resize = spec.train.init_from, spec.train.init_resize
    if path is None:
        return None
    targets = named_leaves(params)

    def keep_head(source: Source) -> bool:
        return head_taken(source, len(class_names), class_names)[0]

    def choose(source: Source) -> dict[str, Sharding]:
        matched = match(source, model, resize=resize, keep_head=keep_head(source))
        # What is copied is used as well.
        return {
            **{entry.ours: targets[entry.ours].sharding for entry in matched.of("used")},
            **{entry.ours: replicated(mesh) for entry in matched.of("resized")},
        }

    processes.agree(lambda: check_source(spec))
    foreign = processes.agree(lambda: is_on_hub(path) or is_foreign(path))
    # What follows differs, and hosts that do not take the same way wait for each other for ever.
    _check_same({"kind": "another library's weights" if foreign else "a checkpoint of vidtx"})
    if foreign:
        source = processes.agree(lambda: open_for(path, model))
        _check_same(_decisive(source))
    else:
        source = read_checkpoint(path, choose, like=model, note=note)
    check_contract(source, spec, note)
    _, told = head_taken(source, len(class_names), class_names)
    fitted = processes.agree(lambda: fit(source, model, resize=resize, keep_head=keep_head(source)))
    copied = {entry.ours for entry in fitted.report.of("copied")}
    taken = {
        name: _placed(leaf, targets[name].sharding, copy=name in copied)
        for name, leaf in fitted.taken.items()
    }
    report = dataclasses.replace(fitted.report, notes=(*fitted.report.notes, *filter(None, [told])))
    return FirstWeights(dataclasses.replace(source, params={}), resize, taken, report)


def _check_same(facts: Mapping[str, Any]) -> None:
    processes.check_same(
        {"train.init_from": dict(facts)},
        "It must name the same weights on every host, and lie beside the same config.json and "
        "preprocessor_config.json there.",
    )


def _decisive(source: Source) -> dict[str, Any]:
    """What of weights decides what a run takes: each host has read files of its own.

    Besides the arrays, that is what is on record of them, of which the head and the refusals
    depend.
    """
    if processes.count() == 1:
        return {}
    digest = 0
    for name in sorted(source.params):
        digest = zlib.crc32(np.ascontiguousarray(source.params[name]), digest)
    return {
        "path": source.path,
        "digest": digest,
        "layout": source.layout,
        "architecture": _shown(dataclasses.asdict(source.architecture)),
        "contract": _shown(source.contract),
    }


def _shown(values: Mapping[str, Any]) -> dict[str, str]:
    """Each as JSON, which tells none from absent; of a long one, such as names, a digest."""
    texts = {name: json.dumps(value, sort_keys=True) for name, value in values.items()}
    return {
        name: text if len(text) <= _LONGEST_SHOWN else f"digest {zlib.crc32(text.encode())}"
        for name, text in texts.items()
    }


def _placed(leaf: Array, place: Sharding, *, copy: bool) -> jax.Array:
    if isinstance(leaf, jax.Array):
        leaf = leaf if leaf.sharding == place else jax.device_put(leaf, place)
        # The step takes the memory of what it is given.
        return jnp.copy(leaf) if copy else leaf
    # Not a view either, as a device may use the memory as it is.
    return jax.make_array_from_callback(leaf.shape, place, lambda index: np.array(leaf[index]))
