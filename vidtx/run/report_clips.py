"""The best and worst judged clips of an evaluation as small videos, beside what was looked at.

They are kept in ``clips.json`` of the run directory, so that the page can be written again without
opening a video. No more than 64 KiB each, all of them take no more than a few MB.
"""

import base64
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import jax
import numpy as np

from data_pipelines.clips import ClipSpec, ClipTrace, EvalClips
from data_pipelines.encode import encode_mp4
from data_pipelines.errors import DataError
from vidtx.analysis.attention import rollout
from vidtx.evaluation import Evaluation, JudgedVideo
from vidtx.models import normalize
from vidtx.reporting.overlay import overlay
from vidtx.run.data import clip_spec
from vidtx.run.setup import Setup

# Of a picture's longer side, in pixels: smaller ones are enlarged, larger ones shrunk.
_SMALLEST, _LARGEST = 160, 224
_MOST_FRAMES = 16
_GAP = 4  # pixels between a clip and its attention
# Frames a second: clips of a frame a second would be dull, those of sixty too short to be seen.
_RATES = (4.0, 12.0)

_MOST_BYTES = 1 << 16
_QUALITIES = (26, 34, 42, 51)
_ENCODER = {"preset": "veryfast", "tune": "zerolatency", "g": "16"}

# How a clip is turned into a map of what was looked at: uint8 [T, height, width, 3] to float32
# [T, H, W].
Look = Callable[[np.ndarray], np.ndarray]


def draw_clips(setup: Setup, evaluation: Evaluation, params: dict) -> dict[str, Any]:
    """The clips of the best and the worst judged videos, ready for JSON.

    Of each video the clip in its middle, as the model is fed it.

    Args:
      setup: the run.
      evaluation: what was found.
      params: the judged parameters, on the mesh.

    Returns:
      ``step`` of the evaluation; ``note``, why something is missing, or nothing; and ``clips``,
      each with ``kind`` (best or worst), ``index``, ``video_id``, ``mp4`` and ``poster`` (JPEG of
      the middle frame; both base64), ``width``, ``height`` (pixels), ``frames``, ``seconds_apart``
      and, where attention is drawn, ``frame_weights``; or, if its video cannot be read any more,
      with ``problem``.
    """
    look, note = _look(setup, params)
    made = EvalClips(setup.eval_source, _one_view(setup), setup.spec.data.multi_label)
    clips = []
    for kind, videos in (("worst", evaluation.worst), ("best", evaluation.best)):
        for video in videos:
            clip = {"kind": kind, "index": video.index}
            clips.append(clip | _drawn(made, video, look))
    return {"step": evaluation.step, "note": note, "clips": clips}


def _one_view(setup: Setup) -> ClipSpec:
    """One clip of a video: the only one, or that in the middle."""
    spec = clip_spec(setup.spec)
    alone = {"spatial_crops": 1}
    if spec.temporal_views > 1:
        alone |= {"temporal_views": 1, "temporal_position": "middle"}
    return dataclasses.replace(spec, **alone)


def _look(setup: Setup, params: dict) -> tuple[Look | None, str]:
    """What tells where the model looks, or None and why not."""
    leaves = jax.tree.leaves(params)
    if not all(leaf.is_fully_replicated for leaf in leaves):
        return None, (
            "Attention is left out: the weights are split over devices. --mode=eval on one device "
            "draws it."
        )
    # On one device of this process; the others do not take part.
    own = jax.tree.map(lambda leaf: leaf.addressable_data(0), params)
    data = setup.spec.data

    def look(clip: np.ndarray) -> np.ndarray:
        fed = normalize(clip[None], data.mean, data.std, data.channel_order)
        return np.asarray(rollout(setup.model, {"params": own}, fed).patches)[0]

    return look, ""


def _drawn(made: EvalClips, video: JudgedVideo, look: Look | None) -> dict[str, Any]:
    try:
        (trace,) = made.explain(video.index)
    except DataError as error:
        return {"problem": f"This video cannot be read now: {error}"}
    frames, weights = len(trace.clip), {}
    pictures = np.stack(list(_sized(trace.clip)))
    shown = np.linspace(0, frames - 1, min(frames, _MOST_FRAMES)).round().astype(int)
    if look is not None:
        maps = look(trace.clip)
        total = max(float(maps.sum()), 1e-12)
        weights = {"frame_weights": [round(float(m.sum()) / total, 4) for m in maps]}
        lit = overlay(trace.clip, maps, smallest=_SMALLEST)
        pictures = _side_by_side(pictures, np.stack(list(_sized(lit))))
    apart = _seconds_apart(trace)
    rate = float(np.clip(1 / apart, *_RATES)) if apart else _RATES[0]
    movie = _encoded(pictures[shown], rate)
    return {
        "video_id": trace.video_id,
        "mp4": base64.b64encode(movie).decode("ascii"),
        "poster": base64.b64encode(_jpeg(pictures[frames // 2])).decode("ascii"),
        "width": pictures.shape[2],
        "height": pictures.shape[1],
        "frames": frames,
        "seconds_apart": apart,
        **weights,
    }


def _seconds_apart(trace: ClipTrace) -> float | None:
    """Of a clip's frames, the median; None where it is not known, or there is one frame."""
    steps = np.diff(trace.times)
    middle = float(np.median(steps)) if len(steps) else 0.0
    return round(middle, 4) if np.isfinite(middle) and middle > 0 else None


def _sized(frames: np.ndarray) -> Iterator[np.ndarray]:
    """Frames as large as they are shown, their sides even, as the encoder wants them."""
    height, width = frames.shape[1:3]
    longer = max(height, width)
    factor = -(-_SMALLEST // longer) if longer < _SMALLEST else min(1.0, _LARGEST / longer)
    size = [max(2, round(side * factor) // 2 * 2) for side in (width, height)]
    how = cv2.INTER_NEAREST if factor > 1 else cv2.INTER_AREA
    for frame in frames:
        yield cv2.resize(frame, size, interpolation=how)


def _side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two clips of one size as one, which keeps them in step."""
    gap = np.full((*left.shape[:2], _GAP, 3), 128, np.uint8)
    return np.concatenate([left, gap, right], axis=2)


def _jpeg(picture: np.ndarray) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 60]
    return cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), quality)[1].tobytes()


def _encoded(frames: np.ndarray, rate: float) -> bytes:
    for quality in _QUALITIES:
        movie = encode_mp4(frames, fps=rate, options=_ENCODER | {"crf": str(quality)})
        if len(movie) <= _MOST_BYTES:
            break
    return movie
