"""One video to an answer and pictures: what the computing process does.

The only file of this room that needs JAX.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from data_pipelines.encode import encode_mp4
from data_pipelines.errors import VideoError
from data_pipelines.video_reader import VideoReader
from vidtx.inference import Predictor
from vidtx.inference.answers import Timeline
from vidtx.reporting.overlay import enlarge, overlay
from vidtx.run.attention import AttendedClip, attend
from vidtx.serving.kept import CLIP, OVERLAY
from vidtx.serving.limits import ServingError

__all__ = ["Answers"]

_CHARTED = 5  # classes of a timeline
_WINDOWS = 240  # of a timeline, which is as many as a chart has room for
_SMALLEST = 320  # pixels of a picture's longer side
_LOOP_SECONDS = (2.0, 10.0)  # that the pictures last

# Kinds of `VideoError` that say that a file is no video; all others are videos that cannot be used.
_NO_VIDEO = ("undecodable", "no_video_stream")


class Answers:
    """A model that answers for videos.

    Args:
      weights: as of `Predictor.load`.
      load: further arguments of it.
      max_seconds: of a video.
      compiled: a folder for compiled programs, so that a process that had to be ended is soon
        replaced.

    Raises:
      VidtxError: as of `Predictor.load`.
    """

    def __init__(self, weights: str, load: Mapping[str, Any], max_seconds: float, compiled: str):
        if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            jax.config.update("jax_compilation_cache_dir", compiled)
        self._weights = weights
        self._predictor = Predictor.load(weights, **load)
        self._max_seconds = max_seconds

    def about(self) -> dict[str, Any]:
        """What ``/api/model`` tells of the model, ready for JSON."""
        model = self._predictor.pretrained.model
        contract = self._predictor.pretrained.contract
        return {
            "name": contract.get("model.name", "model"),
            "weights": self._weights,
            "scheme": model.scheme,
            "frames": model.num_frames,
            "image_size": list(model.image_size),
            "class_names": list(self._predictor.class_names),
            "preprocessing": self._predictor.preprocessing.to_dict(),
            "notes": list(self._predictor.notes),
        }

    def warm_up(self) -> None:
        """Compiles all that answers need, on a made video, so that the first one is no slower."""
        noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "noise.mp4")
            path.write_bytes(encode_mp4(noise, fps=1))
            self.answer(str(path), "noise", folder, "", report=lambda stage, done=0, total=0: None)
            self._predictor.timeline(path)  # so short a video gets none otherwise

    def answer(
        self,
        path: str,
        name: str,
        folder: str | None,
        key: str | None,
        report: Callable[..., None],
    ) -> dict[str, Any]:
        """Answers for one video.

        Args:
          path: of the file.
          name: by which whoever sent it knows it.
          folder: that pictures go to; None for none.
          key: by which they are asked for.
          report: called with (stage, done, total) as it goes; what it raises ends the work.

        Returns:
          What ``POST /api/predict`` answers, ready for JSON.

        Raises:
          ServingError: the video cannot be used.
        """
        try:
            return self._answer(path, name, folder, key, report)
        except VideoError as error:
            status = 415 if error.kind in _NO_VIDEO else 422
            message = str(error).replace(path, "it")
            raise ServingError(status, error.kind, f"{name}: {message}") from error

    def _answer(self, path, name, folder, key, report) -> dict[str, Any]:
        report("reading")
        spec = self._predictor.preprocessing.clips
        with VideoReader(path) as video:
            seconds = video.info.seconds
            if seconds > self._max_seconds:
                raise ServingError(
                    413,
                    "too_long",
                    f"The video lasts {seconds:,.0f} seconds; at most {self._max_seconds:,.0f} are "
                    "taken. Cut it, or start the server with a higher --max_seconds.",
                )
            windows = len(video.along(spec))
        report("predicting")
        prediction = self._predictor.predict(path)
        answer = prediction.to_dict() | {
            "video": name,
            "views_text": f"Mean of {self._predictor.preprocessing.described()}",
            "timeline": None,
            "attention": None,
        }
        notes = [*self._predictor.notes, *prediction.notes]
        if windows > 1:
            report("timeline")
            hop = seconds / _WINDOWS if windows > _WINDOWS else None
            along = self._predictor.timeline(
                path, hop_seconds=hop, on_progress=lambda *far: report("timeline", *far)
            )
            answer["timeline"] = _charted(along)
            notes += _added("timeline", along.notes, notes)
        if folder is not None:
            report("attention")
            clip = attend(self._predictor, path)
            answer["attention"] = _pictures(clip, pathlib.Path(folder), key)
            notes += _added("pictures", clip.notes, notes)
        answer["notes"] = [note.replace(path, name) for note in dict.fromkeys(notes)]
        return answer


def _added(part: str, said: Sequence[str], known: Sequence[str]) -> list[str]:
    """What a part of the answer says and the others have not, by its name: each may end elsewhere.

    The part's name comes first, as "the answer" of its sentences is that part alone.
    """
    return [
        f"Of the {part}: {note}"
        for note in said
        if not any(other.startswith(note) for other in known)
    ]


def _charted(along: Timeline) -> dict[str, Any]:
    """Windows, and the classes that take most of them."""
    order = np.argsort(-along.probabilities.mean(axis=0), kind="stable")[:_CHARTED]
    return {
        "starts": [float(second) for second in along.starts],
        "ends": [float(second) for second in along.ends],
        "classes": [
            {
                "index": int(index),
                "name": along.class_names[index],
                "probabilities": [round(float(p), 6) for p in along.probabilities[:, index]],
            }
            for index in order
        ],
        "segments": [segment.to_dict() for segment in along.segments()],
        "complete": along.complete,
    }


def _pictures(clip: AttendedClip, folder: pathlib.Path, key: str) -> dict[str, Any]:
    """Writes the clip as it is fed, and with what is looked at; says where they are."""
    laid = overlay(clip.frames, clip.maps, smallest=_SMALLEST)
    plain = enlarge(clip.frames, _SMALLEST)
    lasting = float(clip.seconds[-1] - clip.seconds[0]) * len(plain) / max(1, len(plain) - 1)
    lasting = min(max(lasting, _LOOP_SECONDS[0]), _LOOP_SECONDS[1])
    for name, frames in ((CLIP, plain), (OVERLAY, laid)):
        height, width = (side - side % 2 for side in frames.shape[1:3])
        film = encode_mp4(frames[:, :height, :width], fps=len(frames) / lasting)
        (folder / name).write_bytes(film)
    return {
        "url": f"/api/attention/{key}.mp4",
        "clip_url": f"/api/attention/{key}/{CLIP}",
        "method": clip.description,
        "frame_numbers": [int(number) for number in clip.frame_numbers],
        "times": [float(second) for second in clip.seconds],
        "weights": [float(weight) for weight in clip.frame_weights],
    }
