"""Weights of any source as a model that is ready to be applied."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidtx.checkpoints.digests import named_leaves
from vidtx.errors import CheckpointError, ConfigError, VidtxError
from vidtx.inference.contract import contract_of_model, wrong_names
from vidtx.inference.sources import open_source
from vidtx.models import TimeSformer
from vidtx.weights import Report, Source, fit
from vidtx.weights.match import parameter_shapes
from vidtx.weights.resize import RESIZES
from vidtx.weights.source import Array

__all__ = ["Prepared", "Pretrained", "load", "load_pretrained", "prepare"]


_BLOCK = re.compile(r"block_(\d+)\.")


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A model with weights, and what is known of them.

    Attributes:
      model: the model.
      variables: ``{"params": …}``, float32, for ``model.apply``; no array is there twice, so that
        a compiled function may be given their memory (``donate_argnums``).
      contract: what the weights ask of whoever uses them, with the keys of `vidtx.run.contract` as
        far as they are known: how clips are prepared (``data.mean``), what the classes are called
        (``class_names``), what the model is (``model.scheme``).
      report: every array accounted for, of the source and of the model.
      source: what was read.
    """

    model: TimeSformer
    variables: dict[str, Any]
    contract: Mapping[str, Any]
    report: Report
    source: Source


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a source becomes, before anything new is computed.

    Attributes:
      model: that the weights go into.
      taken: its arrays that the source gives, by their names.
      contract, report, source: as of `Pretrained`.
    """

    model: TimeSformer
    taken: Mapping[str, Array]
    contract: Mapping[str, Any]
    report: Report
    source: Source

    def params(self, seed: int) -> dict[str, Array]:
        """All arrays of the model by their names, those that are new initialised from ``seed``."""
        names = parameter_shapes(self.model)
        new = [name for name in names if name not in self.taken]
        fresh = _initialised(self.model, new, seed) if new else {}
        return {name: fresh[name] if name in fresh else self.taken[name] for name in names}


def load(path: str | os.PathLike, **changes: Any) -> tuple[TimeSformer, dict[str, Any]]:
    """A model and its weights, ready for ``model.apply(variables, clips)``.

        model, variables = vidtx.load("hf:facebook/timesformer-base-finetuned-k400")
        model, variables = vidtx.load("B_16.npz", scheme="divided", num_frames=8, num_classes=400)

    Args:
      path: a run directory, its ``best``, one checkpoint, a file or folder of another library, or
        ``hf:OWNER/NAME``.
      **changes: arguments of `load_pretrained`, which also tells what became of every array and
        how clips are to be prepared.

    Returns:
      The model, and ``{"params": …}``.

    Raises:
      VidtxError: as of `load_pretrained`.
    """
    loaded = load_pretrained(path, **changes)
    return loaded.model, loaded.variables


def load_pretrained(path: str | os.PathLike, *, seed: int = 0, **changes: Any) -> Pretrained:
    """Weights of any source as a model, with all that is known of them.

    Args:
      path: a run directory, its ``best``, one checkpoint, a file or folder of another library, or
        ``hf:OWNER/NAME`` of the Hugging Face Hub.
      seed: from which arrays are initialised that the source lacks, such as a new head.
      **changes: as of `prepare`: ``scheme``, ``num_classes``, ``num_frames``, ``image_size``,
        ``position_embedding``, ``class_names``, ``resize``, ``num_heads``, ``channel_order``, and
        how the model computes, such as ``dtype`` and ``attention``.

    Raises:
      ConfigError: there is no such source, or an argument does not fit; lists all that do not.
      CheckpointError: the source cannot be used.
      MachineError: the network, the storage or a library is missing.
    """
    prepared = prepare(path, **changes)
    # A step that is given the parameters to keep must not be given one twice.
    copied = {entry.ours for entry in prepared.report.of("copied")}
    params = {
        name: jnp.array(leaf) if name in copied else jnp.asarray(leaf)
        for name, leaf in prepared.params(seed).items()
    }
    return Pretrained(
        model=prepared.model,
        variables={"params": nested(params)},
        contract=prepared.contract,
        report=prepared.report,
        source=prepared.source,
    )


def prepare(
    path: str | os.PathLike,
    *,
    scheme: str | None = None,
    num_classes: int | None = None,
    num_frames: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    position_embedding: str | None = None,
    class_names: Sequence[str] | None = None,
    resize: str = "nearest",
    num_heads: int | None = None,
    channel_order: str | None = None,
    **options: Any,
) -> Prepared:
    """Reads a source and fits it to the model that is asked for.

    Args:
      path: as of `load_pretrained`.
      scheme: in place of the source's; an image model is ``space`` by default.
      num_classes: in place of the source's; the head is then new.
      num_frames: in place of the source's. Of an image model it must be given with ``scheme``.
      image_size: pixels of a clip's side, or ``(height, width)``, in place of the source's; of
        a source whose own can be no square and is on record nowhere, its own.
      position_embedding: ``none``, ``space`` or ``space_time``, in place of the source's.
      class_names: in the order of the head, in place of the source's.
      resize: how position embeddings are resized: nearest, bilinear, bicubic or nearest_1d.
      num_heads: of the source, where no file says it.
      channel_order: in which the source's model is fed, ``rgb`` or ``bgr``, where no file says it
        or says it wrong.
      **options: further ones of `vidtx.create_model`, which say how the model computes: ``dtype``,
        ``attention``, ``drop_path`` (0 by default), ``remat``, ``scan_layers``, ``platform``; and
        ``init_stddev``, for what is new.

    Raises:
      VidtxError: as of `load_pretrained`.
    """
    source = _opened(path, image_size, num_heads=num_heads, channel_order=channel_order)
    theirs = source.architecture
    problems = []
    if theirs.is_image_model and scheme not in (None, "space") and num_frames is None:
        problems.append(
            f"num_frames is not given: {source.path} holds an image model, which knows of no "
            f"frames, and scheme={scheme} needs their number. Say num_frames=8, which is the "
            "published one."
        )
    if resize not in RESIZES:
        problems.append(f"resize is {resize!r}; it must be one of {', '.join(RESIZES)}.")
    if class_names is not None:
        wanted = num_classes or theirs.num_classes or len(class_names)
        problems += wrong_names(class_names, wanted, source, asked=num_classes is not None)
        num_classes = num_classes or wanted
    changes = {
        "scheme": scheme,
        "num_classes": num_classes,
        "num_frames": num_frames,
        "image_size": image_size,
        "position_embedding": position_embedding,
    }
    model = None
    try:
        model = theirs.create(
            **{name: value for name, value in changes.items() if value is not None},
            **options,
        )
    except ValueError as error:
        problems += str(error).splitlines()
    if model is None or problems:
        raise ConfigError("\n".join(problems))
    fitted = fit(source, model, resize=resize)
    contract, notes = contract_of_model(source, model, fitted.report, class_names)
    return Prepared(
        model=model,
        taken=fitted.taken,
        contract=contract,
        report=dataclasses.replace(fitted.report, notes=(*fitted.report.notes, *notes)),
        source=source,
    )


def nested(params: Mapping[str, Array]) -> dict[str, Any]:
    """``{"norm.scale": array, …}`` as a tree, ``{"norm": {"scale": array}, …}``."""
    tree: dict[str, Any] = {}
    for name, leaf in params.items():
        *outer, last = name.split(".")
        place = tree
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = leaf
    return tree


def _opened(
    path: str | os.PathLike, image_size: int | tuple[int, int] | None, **options: Any
) -> Source:
    """Reads a source; if that needs to be told its image size, the one that is asked for is it."""
    try:
        return open_source(path, **options)
    except CheckpointError:
        if image_size is None:
            raise
        try:
            return open_source(path, image_size=image_size, **options)
        except VidtxError:  # the first one says more
            pass
        raise


def _initialised(model: TimeSformer, names: Sequence[str], seed: int) -> dict[str, jax.Array]:
    """Some of a model's parameters as training from ``seed`` would begin with them."""
    # They depend neither on the clip, nor on what computes attention, which may not be here, nor on
    # blocks above them.
    depth = 1 + max((int(match[1]) for match in map(_BLOCK.match, names) if match), default=0)
    model = model.clone(
        attention="xla", platform=None, remat="none", scan_layers=False, depth=depth
    )
    clip = jnp.zeros((1, 1, model.patch_size, model.patch_size, 3))

    @jax.jit  # the compiler leaves out all that is not asked for
    def init() -> dict[str, jax.Array]:
        leaves = named_leaves(nn.unbox(model.init(jax.random.key(seed), clip)["params"]))
        return {name: leaves[name] for name in names}

    return init()
