"""A model as a folder that answers without vidtx: program, weights, labels, preprocessing."""

import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jax import export as jax_export

from data_pipelines.video_reader import VideoReader
from vidtx import _version
from vidtx.checkpoints.digests import named_leaves
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.inference import exported, standalone
from vidtx.inference.export_texts import preprocessing_in_words, readme
from vidtx.inference.load import Pretrained, load_pretrained, nested
from vidtx.inference.preprocessing import Preprocessing
from vidtx.inference.whole_folder import appearing_whole, free_folder

__all__ = ["PLATFORMS", "export"]

# What jax.export lowers for, each without its devices.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

_PARTS = {
    "program": "program.jax_export",
    "weights": "weights.safetensors",
    "labels": "labels.json",
    "preprocessing": "preprocessing.json",
    "reference": "reference.npz",
}
_WRITTEN = ("export", "--out")  # what, and how the command names its place
_MOST_VIEWS = 4  # of a video as reference clips

# Of the largest logit, what its rounding may be: where the products are those of the program that
# was compared with, and elsewhere, where products of float32 may be of bfloat16 or TF32.
_SHARES = {"float32": (1e-4, 2e-2), "bfloat16": (2e-2, 5e-2)}


def export(
    weights: str | os.PathLike,
    target: str | os.PathLike,
    *,
    platforms: Sequence[str] = PLATFORMS,
    check: str | os.PathLike | None = None,
    views: Any = None,
    dtype: str = "float32",
    note: Callable[[str], None] = lambda text: None,
    **changes: Any,
) -> dict[str, Any]:
    """Writes a folder that answers as the model does, and needs neither vidtx nor flax.

    It holds a serialised `jax.export` program of any number of clips, float32 weights that are
    given to it as arguments, the names of the classes, how clips are made of videos, reference
    clips with their answers, and ``run.py``, which uses all of these. It appears whole, and only if
    the program that was read back from it answers the reference clips as the model does.

    Args:
      weights: as of `vidtx.inference.load_pretrained`.
      target: the folder to write; it must be absent or empty.
      platforms: that the program shall run on, of ``PLATFORMS``.
      check: a video whose clips are the reference; None for two that are made up.
      views: how many clips of a video are averaged, as of `Preprocessing.of`.
      dtype: of the computation, ``float32`` or ``bfloat16``.
      note: told what a person should know, a sentence each.
      **changes: to the model, as of `vidtx.inference.load_pretrained`.

    Returns:
      The manifest, ``export.json``.

    Raises:
      ConfigError: ``target`` is not empty, or an argument does not fit.
      CheckpointError: the weights cannot be used, or the program answers otherwise.
      DataQualityError: ``check`` cannot be read.
      MachineError: flatbuffers is missing, or the disk is full.
    """
    platforms = _checked(platforms)
    place = free_folder(target, *_WRITTEN)
    pretrained = load_pretrained(weights, dtype=dtype, **changes)
    preprocessing = Preprocessing.of(pretrained, views=views)
    clips, of = _reference_clips(preprocessing, check)
    notes = (*pretrained.report.notes, *preprocessing.notes)
    for line in notes:
        note(line)
    with appearing_whole(place, *_WRITTEN) as folder:
        manifest = _write(folder, pretrained, preprocessing, platforms)
        manifest["notes"], manifest["source"]["weights"] = list(notes), os.fspath(weights)
        if views is not None:  # which whoever takes the folder as weights is to average, too
            spec = preprocessing.clips
            asked = {"temporal_views": spec.temporal_views, "spatial_crops": spec.spatial_crops}
            manifest["contract"] |= {f"eval.{name}": value for name, value in asked.items()}
        _compare(folder, manifest, pretrained, preprocessing, clips, of)
        (folder / "README.md").write_text(readme(manifest), encoding="utf-8")
        _seal(folder, manifest)
    return manifest


def _checked(platforms: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise ConfigError(
            f"platforms is {', '.join(platforms) or 'empty'}; it must be of {', '.join(PLATFORMS)}."
        )
    here = jax.default_backend()
    own = {"gpu": ("cuda", "rocm")}.get(here, (here,))
    if not set(own) & set(platforms):
        raise ConfigError(
            f"platforms is {', '.join(platforms)}, and this is {here}, where the program could not "
            f"be compared with the model. Add {own[0]}."
        )
    try:
        import flatbuffers  # noqa: F401  jax.export writes with it
    except ImportError as error:
        raise MachineError(
            "jax.export needs flatbuffers, which is not installed: pip install flatbuffers."
        ) from error
    return tuple(dict.fromkeys(platforms))


def _reference_clips(
    preprocessing: Preprocessing, check: str | os.PathLike | None
) -> tuple[np.ndarray, str]:
    """Uint8 ``[N, T, height, width, 3]``, and what they are of."""
    if check is not None:
        with data_errors_as_ours(), VideoReader(check) as video:
            traces = video.clips(preprocessing.clips)[:_MOST_VIEWS]
        return np.stack([trace.clip for trace in traces]), pathlib.Path(check).name
    frames, (height, width) = preprocessing.clips.frames, preprocessing.clips.crop
    time, row, column = np.ogrid[:frames, :height, :width]
    waves = [
        np.sin(6.3 * (turn * row / height + column / (width * turn) - time / frames) + shift)
        for turn in (1, 3)
        for shift in (0, 2, 4)
    ]
    moving = np.stack(waves, axis=-1).reshape(frames, height, width, 2, 3)
    clips = np.round(127.5 * (1 + np.moveaxis(moving, 3, 0))).astype(np.uint8)
    return clips, "two made-up clips of coloured waves"


def _write(
    folder: pathlib.Path,
    pretrained: Pretrained,
    preprocessing: Preprocessing,
    platforms: tuple[str, ...],
) -> dict[str, Any]:
    """Writes all but the reference and what is made of the manifest, which is returned."""
    model, contract = pretrained.model, dict(pretrained.contract)
    params = {
        name: np.ascontiguousarray(leaf, np.float32)
        for name, leaf in named_leaves(pretrained.variables["params"]).items()
    }
    path = folder / _PARTS["weights"]
    try:
        safetensors.numpy.save_file(params, path, metadata={"format": "pt"})
    except safetensors.SafetensorError as error:
        raise MachineError(
            f"{path} cannot be written: {error}. Free space, or choose another place."
        ) from error
    batch = jax_export.symbolic_shape("b")
    shape = (*batch, preprocessing.clips.frames, *preprocessing.clips.crop, 3)
    program = jax_export.export(jax.jit(_program(pretrained, preprocessing)), platforms=platforms)(
        {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in params.items()},
        jax.ShapeDtypeStruct(shape, jnp.uint8),
    )
    (folder / _PARTS["program"]).write_bytes(program.serialize())
    # Those that it writes itself are readable by their owner alone.
    path.chmod(stat.S_IMODE((folder / _PARTS["program"]).stat().st_mode))
    names = contract.get("class_names") or [f"class {row}" for row in range(model.num_classes)]
    _write_json(folder / _PARTS["labels"], list(names))
    how = preprocessing_in_words(preprocessing)
    _write_json(folder / _PARTS["preprocessing"], how)
    source = pathlib.Path(standalone.__file__)
    (folder / "run.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return {
        **exported.FORMAT,
        "vidtx": _version.__version__,
        "jax": jax.__version__,
        "calling_convention_version": program.calling_convention_version,
        "platforms": list(program.platforms),
        "dtype": jnp.dtype(model.dtype).name,
        "inputs": {
            "weights": {
                "file": _PARTS["weights"],
                "dtype": "float32",
                "arrays": len(params),
                "parameters": sum(leaf.size for leaf in params.values()),
            },
            "clips": {"dtype": "uint8", "shape": ["b", *shape[1:]]},
        },
        "outputs": {
            "logits": {"dtype": "float32", "shape": ["b", model.num_classes]},
            "features": {"dtype": "float32", "shape": ["b", model.embed_dim]},
        },
        "model": {
            "scheme": model.scheme,
            "embed_dim": model.embed_dim,
            "depth": model.depth,
            "num_heads": model.num_heads,
            "patch_size": model.patch_size,
            "image_size": list(model.image_size),
            "num_frames": model.num_frames,
            "num_classes": model.num_classes,
            "position_embedding": model.position_embedding,
        },
        "contract": contract,
        "source": {"layout": pretrained.source.layout},
        "parts": _PARTS,
    }


def _program(pretrained: Pretrained, preprocessing: Preprocessing) -> Callable:
    """``(weights by name, clips) -> (logits, features)``, of any backend."""
    plain = pretrained.model.clone(
        attention="xla", platform="cpu", remat="none", scan_layers=False, drop_path=0.0
    )

    def answer(weights: dict[str, jax.Array], clips: jax.Array) -> tuple[jax.Array, jax.Array]:
        frames = preprocessing.normalized(clips)
        return plain.apply({"params": nested(weights)}, frames, return_features=True)

    return answer


def _compare(
    folder: pathlib.Path,
    manifest: dict[str, Any],
    pretrained: Pretrained,
    preprocessing: Preprocessing,
    clips: np.ndarray,
    of: str,
) -> None:
    """Has model and program answer; keeps clips and answers, and puts them on record.

    Raises:
      CheckpointError: the answers differ by more than rounding, or are no finite numbers.
    """
    apply = jax.jit(
        lambda variables, clips: pretrained.model.apply(
            variables, preprocessing.normalized(clips), return_features=True
        )
    )
    logits, features = map(np.asarray, apply(pretrained.variables, clips))
    if not (np.isfinite(logits).all() and np.isfinite(features).all()):
        raise CheckpointError(
            f"The weights of {pretrained.source.path} give scores that are no finite numbers: they "
            "are damaged, or their training diverged. Name an earlier checkpoint."
        )
    np.savez(folder / _PARTS["reference"], clips=clips, logits=logits, features=features)
    largest = max(1.0, float(np.abs(logits).max()))
    here, elsewhere = _SHARES[manifest["dtype"]]
    bounds = {"cpu": here * largest, "elsewhere": elsewhere * largest}
    manifest["reference"] = {"of": of, "clips": len(clips), "difference": None, "bounds": bounds}
    _seal(folder, manifest)
    found = standalone.verify(folder)
    if not found["ok"]:
        raise CheckpointError(
            f"The exported program answers otherwise than the model: on {found['platform']} its "
            f"logits differ by {found['difference']:.3g}, and at most {found['bound']:.3g} is "
            "rounding. Nothing was written. If the weights are sound (vidtx predict), this is a "
            "bug of vidtx or of JAX."
        )
    manifest["reference"] |= {"difference": found["difference"], "platform": found["platform"]}


def _seal(folder: pathlib.Path, manifest: dict[str, Any]) -> None:
    """Writes the manifest, with sizes and digests of all other files."""
    manifest["files"] = dict(_files(folder))
    manifest["digest"] = standalone.digest_of(manifest)
    _write_json(folder / standalone.MANIFEST, manifest)


def _files(folder: pathlib.Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted(folder.iterdir()):
        if path.name != standalone.MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield path.name, {"bytes": path.stat().st_size, "sha256": digest}


def _write_json(path: pathlib.Path, value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")
