"""Exported folders read again: as weights like any others, and to see whether they still answer."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.inference import standalone
from vidtx.weights import Architecture, Entry, Report, Source

__all__ = ["FORMAT", "Verified", "is_exported", "read_exported", "read_manifest", "verify"]

FORMAT = {"format": "vidtx export", "format_version": 1}
_LAYOUT = "vidtx export"


@dataclasses.dataclass(frozen=True)
class Verified:
    """What came of answering the reference clips again.

    Attributes:
      folder: that was looked at; its files have the digests that they were exported with.
      platform: of JAX that answered, such as ``cpu``.
      difference: largest of a logit from the one that was exported.
      bound: that it may have.
    """

    folder: str
    platform: str
    difference: float
    bound: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return dataclasses.asdict(self)


def is_exported(path: str | os.PathLike) -> bool:
    """Whether a path of this machine is a folder that `vidtx.inference.export` wrote, by its name.

    Nothing is opened.
    """
    return (pathlib.Path(path).expanduser() / standalone.MANIFEST).is_file()


def read_manifest(folder: str | os.PathLike) -> dict[str, Any]:
    """What an exported folder says of itself.

    Raises:
      ConfigError: it is no exported folder.
      CheckpointError: it is damaged, or was written by a later version.
    """
    place = pathlib.Path(folder).expanduser()
    if not is_exported(place):
        raise ConfigError(
            f"{place} is no exported folder: it has no {standalone.MANIFEST}. Name one that "
            "`vidtx export --weights=… --out=FOLDER` wrote."
        )
    try:
        manifest = standalone.read_manifest(place)
    except standalone.DamagedError as error:
        raise _damaged(place, error) from error
    found = {name: manifest.get(name) for name in FORMAT}
    if found != FORMAT:
        raise CheckpointError(
            f"{place} is of {found['format']!r}, version {found['format_version']}; this vidtx "
            f"reads {FORMAT['format']!r}, version {FORMAT['format_version']}. Update vidtx, or "
            "export it again."
        )
    return manifest


def read_exported(
    path: str | os.PathLike,
    *,
    num_heads: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    channel_order: str | None = None,
    shapes_only: bool = False,
) -> Source:
    """Reads the weights of an exported folder, with all that is on record of them.

    Args:
      path: the folder.
      num_heads: accepted where it is what is on record.
      image_size: of no effect, as it is on record.
      channel_order: ``rgb`` or ``bgr``, in place of what is on record.
      shapes_only: give `jax.ShapeDtypeStruct` in the place of arrays, and read none.

    Raises:
      ConfigError: it is no exported folder, or ``num_heads`` is another.
      CheckpointError: it is damaged.
    """
    del image_size
    folder = pathlib.Path(path).expanduser()
    manifest = read_manifest(folder)
    architecture = Architecture(
        **{**manifest["model"], "image_size": tuple(manifest["model"]["image_size"])}
    )
    if num_heads not in (None, architecture.num_heads):
        raise ConfigError(
            f"num_heads is {num_heads}, and {folder} is on record with {architecture.num_heads}."
        )
    params = _weights(folder, manifest, shapes_only=shapes_only)
    contract = dict(manifest["contract"])
    if channel_order is not None:
        contract["data.channel_order"] = channel_order
    return Source(
        path=os.fspath(path),
        layout=_LAYOUT,
        params=params,
        architecture=architecture,
        report=Report(tuple(Entry("used", name, (name,)) for name in params)),
        contract=contract,
    )


def verify(folder: str | os.PathLike) -> Verified:
    """Looks at every file of an exported folder, and has its program answer here.

    Raises:
      ConfigError: it is no exported folder.
      CheckpointError: a file is damaged, this JAX cannot run the program, or it answers otherwise.
      MachineError: flatbuffers is missing.
    """
    manifest = read_manifest(folder)
    place = pathlib.Path(folder).expanduser()
    try:
        found = standalone.verify(place, _program_of(place, manifest))
    except standalone.DamagedError as error:
        raise _damaged(place, error) from error
    except (ValueError, RuntimeError) as error:  # of another platform, or by a later JAX
        if "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise _refused(place, manifest, error) from error
    if not found["ok"]:
        raise CheckpointError(
            f"{place} answers otherwise here than where it was exported: its reference clips' "
            f"logits differ by {found['difference']:.3g} on {found['platform']}; at most "
            f"{found['bound']:.3g} is rounding. The program was written with JAX "
            f"{manifest['jax']}, and this is {jax.__version__}: use that one, or export again."
        )
    return Verified(str(folder), found["platform"], found["difference"], found["bound"])


def _program_of(folder: pathlib.Path, manifest: Mapping[str, Any]) -> standalone.Exported:
    """The program of an exported folder, ready to be called.

    Raises:
      CheckpointError: a file is damaged, or this JAX cannot read the program.
      MachineError: flatbuffers is missing.
    """
    try:
        return standalone.Exported(folder)
    except standalone.DamagedError as error:
        raise _damaged(folder, error) from error
    except ImportError as error:
        raise MachineError(
            f"jax.export reads programs with flatbuffers: {error}. pip install flatbuffers."
        ) from error
    except Exception as error:  # of another format, reading can fail in any way
        raise _refused(folder, manifest, error) from error


def _weights(
    folder: pathlib.Path, manifest: Mapping[str, Any], *, shapes_only: bool
) -> dict[str, np.ndarray | jax.ShapeDtypeStruct]:
    name = manifest["parts"]["weights"]
    try:
        if not shapes_only:
            standalone.check_files(folder, manifest, {name})
            return safetensors.numpy.load_file(folder / name)
        with safetensors.safe_open(folder / name, framework="numpy") as file:
            return {
                key: jax.ShapeDtypeStruct(tuple(file.get_slice(key).get_shape()), np.float32)
                for key in file.keys()  # noqa: SIM118  it is no mapping
            }
    except (standalone.DamagedError, safetensors.SafetensorError, OSError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: pathlib.Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"The exported folder {folder} is damaged:\n{error}\nCopy it again, or export it again."
    )


def _refused(
    folder: pathlib.Path, manifest: Mapping[str, Any], error: Exception
) -> CheckpointError:
    cause = (str(error) or repr(error)).splitlines()[0]
    return CheckpointError(
        f"The program of {folder} cannot be run here: {cause}\nIt was written by JAX "
        f"{manifest['jax']} for {', '.join(manifest['platforms'])}, with version "
        f"{manifest['calling_convention_version']} of jax.export's calling convention; this is "
        f"JAX {jax.__version__} on {jax.default_backend()}. Use a JAX that is at most six months "
        "newer and not older, or export the weights again: vidtx takes the folder itself as "
        "--weights."
    )
