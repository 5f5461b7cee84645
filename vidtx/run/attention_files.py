"""What a model looks at, as files: a film, a contact sheet, arrays."""

import json
import os

import numpy as np

from data_pipelines.encode import encode_mp4
from vidtx.errors import ConfigError
from vidtx.reporting.attention_pictures import attention_film, attention_sheet
from vidtx.reporting.files import Path, as_path, in_bucket, replacing, write_bytes
from vidtx.run.attention import AttendedClip

__all__ = ["SUFFIXES", "attention_mp4", "out_problems", "write_attention"]

SUFFIXES = (".mp4", ".png", ".npz")


def out_problems(out: str | os.PathLike[str]) -> list[str]:
    """What is wrong with the place that is to be written, a sentence."""
    path = as_path(out)
    if path.suffix.lower() in SUFFIXES:
        if path.is_dir():
            return [f"--out={path} is a folder, and its name that of a file; name another one."]
        return []
    if path.suffix and not path.is_dir():
        return [
            f"--out={path}: maps are written as {', '.join(SUFFIXES)}, or all three into a folder, "
            f"and not as {path.suffix}."
        ]
    if path.exists() and not path.is_dir():
        return [f"--out={path} is a file without a suffix; name {', '.join(SUFFIXES)} or a folder."]
    return []


def write_attention(
    clip: AttendedClip, out: str | os.PathLike[str], *, normalise: str = "clip"
) -> list[Path]:
    """Writes what the suffix says, or all three into a folder; each file whole or not at all.

    Args:
      clip: what is written.
      out: ``.mp4`` (H.264, the clip beside itself with its maps), ``.png`` (contact sheet) or
        ``.npz`` (see docs/attention.md); anything else is a folder, for ``attention.mp4``,
        ``attention.png`` and ``attention.npz``.
      normalise: what the brightest colour means: the highest weight of the ``clip`` or of each
        ``frame``.

    Returns:
      The files.

    Raises:
      ConfigError: ``out`` has another suffix.
    """
    problems = out_problems(out)
    if problems:
        raise ConfigError(problems[0])
    path = as_path(out)
    suffix = path.suffix.lower()
    whole = suffix not in SUFFIXES
    paths = [path / f"attention{each}" for each in SUFFIXES] if whole else [path]
    for each in paths:
        if not in_bucket(each):
            each.parent.mkdir(parents=True, exist_ok=True)
        kind = each.suffix.lower()
        if kind == ".mp4":
            write_bytes(each, attention_mp4(clip, normalise=normalise))
        elif kind == ".png":
            attention_sheet(clip.looked_at(normalise=normalise), each, title=_title(clip))
        else:
            _write_arrays(clip, each)
    return paths


def attention_mp4(clip: AttendedClip, *, normalise: str = "clip") -> bytes:
    """The film as the bytes of an MP4 that browsers play; ``normalise`` as of `write_attention`."""
    film = attention_film(clip.looked_at(normalise=normalise))
    return encode_mp4(film.pictures[film.order], fps=film.rate)


def _title(clip: AttendedClip) -> str:
    """What the contact sheet shows: the likeliest class, the others, the method, the frames."""
    first, *others = (f"{score.name} {score.probability:.1%}" for score in clip.top)
    numbers = clip.frame_numbers
    lines = [
        f"{os.path.basename(clip.video)}: {first}",
        f"then {', '.join(others[:2])}" if others else "",
        clip.description,
        f"{len(numbers)} frames, {numbers.min()} to {numbers.max()} of the video",
        *clip.notes,
    ]
    return "\n".join(line for line in lines if line).replace("%", " %")


def _write_arrays(clip: AttendedClip, path: Path) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            maps=clip.maps,
            class_token=clip.class_token,
            frame_weights=clip.frame_weights,
            frame_numbers=clip.frame_numbers,
            seconds=clip.seconds,
            frames=clip.frames,
            class_names=np.array(clip.class_names),
            probabilities=clip.probabilities,
            method=np.array(json.dumps(clip.method)),
        )
