"""Weights by any name: a run's, one checkpoint's, another library's file, a model of the Hub."""

import dataclasses
import os
from collections.abc import Callable, Mapping

from jax.sharding import Sharding

from vidtx import weights as libraries
from vidtx.checkpoints.places import Path, absolute, in_bucket
from vidtx.checkpoints.weights import Weights, everything, restore_weights
from vidtx.errors import CheckpointError, ConfigError, VidtxError
from vidtx.inference.exported import is_exported, read_exported
from vidtx.inference.recorded import describe_weights
from vidtx.models import TimeSformer
from vidtx.weights import Source, fetch, read_foreign
from vidtx.weights.files import SUFFIXES

__all__ = ["HUB", "is_foreign", "is_on_hub", "open_for", "open_source", "read_checkpoint"]

HUB = "hf:"

_KNOWN = (
    "a run directory, its best folder, one checkpoint such as RUN/checkpoints/1400, an exported "
    "folder, a file or folder of another library's weights, or hf:OWNER/NAME for a model of the "
    "Hugging Face Hub"
)


def open_source(
    path: str | os.PathLike,
    *,
    num_heads: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    channel_order: str | None = None,
) -> Source:
    """Reads weights, whatever they are named by.

    Of a checkpoint of vidtx all parameters are read in their own shapes, the averaged ones where
    there are, onto this process's first device.

    Args:
      path: a run directory, for its newest state; its ``best`` folder; one checkpoint, such as
        ``RUN/checkpoints/1400``; a folder that `vidtx.inference.export` wrote; a file or folder of
        another library (see `vidtx.weights`); or ``hf:OWNER/NAME``, which is fetched from the
        Hugging Face Hub.
      num_heads: ``A``, where the weights do not say it.
      image_size: a side or ``(height, width)`` in pixels, where the weights do not say it.
      channel_order: of the clips that they want, ``rgb`` or ``bgr``, where they do not say it.

    Raises:
      ConfigError: there is nothing of that name, or what was given does not fit.
      CheckpointError: it cannot be read, is no model that vidtx has, or says too little of itself.
      MachineError: the Hub or a bucket cannot be reached, or memory does not suffice.
    """
    options = {"num_heads": num_heads, "image_size": image_size, "channel_order": channel_order}
    if is_on_hub(path):
        source = read_foreign(fetch(os.fspath(path)), **options)
        return dataclasses.replace(source, path=os.fspath(path))
    if is_foreign(path):
        return (read_exported if is_exported(path) else read_foreign)(path, **options)
    return read_checkpoint(path, **options)


def open_for(path: str | os.PathLike, model: TimeSformer, *, shapes_only: bool = False) -> Source:
    """Reads another library's weights for a model, which is asked what they do not tell.

    Args:
      path: a file or folder, or ``hf:OWNER/NAME``; or an exported folder, which tells everything.
      model: whose number of heads or image size they have where nothing tells. Where heads would
        otherwise be guessed, as 64 wide, its own come first.
      shapes_only: give `jax.ShapeDtypeStruct` in the place of arrays, and read none.

    Raises:
      ConfigError, CheckpointError, MachineError: as of `open_source`.
    """
    if not is_on_hub(path) and is_exported(path):
        return read_exported(path, shapes_only=shapes_only)
    place = fetch(os.fspath(path)) if is_on_hub(path) else path
    first: CheckpointError | None = None
    for options in ({}, {"image_size": model.image_size}):
        try:
            source = read_foreign(
                place, likely_heads=model.num_heads, shapes_only=shapes_only, **options
            )
        except CheckpointError as error:
            first = first or error
        except VidtxError:
            if first is None:
                raise
        else:
            notes = list(source.report.notes)
            if options:
                notes.append(
                    f"Nothing tells their image size; the model's, {model.image_size}, is taken."
                )
            report = dataclasses.replace(source.report, notes=tuple(notes))
            return dataclasses.replace(source, path=os.fspath(path), report=report)
    raise first


def is_on_hub(path: str | os.PathLike) -> bool:
    """Whether a path names a model of the Hugging Face Hub."""
    return os.fspath(path).startswith(HUB)


def is_foreign(path: str | os.PathLike) -> bool:
    """Whether a path of this machine is of another library's weights, or an exported folder.

    Both are read by this process alone, and whole. A folder of vidtx's checkpoints is neither,
    whatever files lie in it besides.

    Raises:
      ConfigError: there is nothing there, it may not be looked into, or it is a file in a bucket.
    """
    place = absolute(path)
    if in_bucket(place):
        # Runs may have dots in their names: k400_lr0.005.
        if place.name.endswith(SUFFIXES) and not _is_folder(place):
            raise ConfigError(
                f"{place}: files of other libraries are read on this machine. Copy it here: "
                f"gcloud storage cp {place} ."
            )
        return False
    try:
        if not place.exists():
            raise ConfigError(f"There is no file or folder {place}. Name {_KNOWN}.")
        if _holds_checkpoints(place):
            return False
        return is_exported(place) or libraries.is_foreign(place)
    except OSError as error:
        raise ConfigError(f"{place} cannot be looked into: {error}. Name {_KNOWN}.") from error


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except Exception:  # of many libraries, where the bucket cannot be reached; its name then counts
        return False


def _holds_checkpoints(place: Path) -> bool:
    """Whether a folder is a run directory, its best folder or a checkpoint, by what is in it."""
    if (place / "checkpoints").is_dir():
        return True
    if place.name.isdecimal():
        return (place / "state").is_dir()
    # Other programs call folders so as well.
    return place.name in ("best", "checkpoints") and any(
        item.name.isdecimal() and item.is_dir()
        for item in (place.iterdir() if place.is_dir() else ())
    )


def read_checkpoint(
    path: str | os.PathLike,
    choose: Callable[[Source], Mapping[str, Sharding]] | None = None,
    *,
    like: TimeSformer | None = None,
    num_heads: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    channel_order: str | None = None,
    note: Callable[[str], None] = print,
) -> Source:
    """Reads parameters of a checkpoint of vidtx; all processes of a job together.

    Args:
      path: as `vidtx.checkpoints.restore_weights` takes it.
      choose: says which parameters to read and where they shall lie, by name. It is given the
        source with `jax.ShapeDtypeStruct` for arrays, and talks to no other process. None reads all
        of them onto the first device of this process.
      like: a model whose number of heads and so on the weights have where nothing is on record.
      num_heads: as of `open_source`.
      image_size: the same.
      channel_order: the same.
      note: told of damaged checkpoints that are passed over, a sentence each.

    Returns:
      The source; parameters that were not chosen are still `jax.ShapeDtypeStruct`.

    Raises:
      ConfigError, CheckpointError, MachineError: as of `open_source`, or raised by ``choose``.
    """
    source = None

    def places(weights: Weights) -> Mapping[str, Sharding]:
        nonlocal source
        source = describe_weights(
            weights,
            like=like,
            num_heads=num_heads,
            image_size=image_size,
            channel_order=channel_order,
        )
        return everything(weights) if choose is None else choose(source)

    weights = restore_weights(path, places, note)
    return dataclasses.replace(source, params={**source.params, **weights.taken})
