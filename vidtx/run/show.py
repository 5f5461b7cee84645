"""Clips beside the videos that they were cut from, as training or evaluation takes them."""

import itertools
import os
import sys
from collections.abc import Callable, Iterator

import grain
import jax
import numpy as np

from data_pipelines.clips import ClipTrace, EvalClips, TrainClips
from data_pipelines.errors import VideoError
from data_pipelines.records import SplitSource
from vidtx.config import MeshSpec, RunSpec
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import ConfigError, DataQualityError
from vidtx.reporting.clip_sheet import ShownClip, clip_sheet
from vidtx.reporting.files import Path
from vidtx.run.data import RunData, clip_spec
from vidtx.run.pictures import draws_of, fed_frames, name_classes
from vidtx.run.setup import unfit
from vidtx.sharding import make_mesh
from vidtx.training.augment import Draws

__all__ = ["draw_sheet", "training_traces"]

_LEGEND = "Framed: what is cut out of each frame. Below, marked in the same colour: what is fed."


def draw_sheet(
    spec: RunSpec,
    path: str | os.PathLike[str],
    *,
    mode: str = "train",
    split: str | None = None,
    clips: int = 8,
    step: int = 0,
    max_frames: int = 8,
    warn: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
) -> Path:
    """Draws clips of a run beside their videos; needs no run, and starts none.

    Args:
      spec: the run.
      path: of the picture; its suffix chooses the format.
      mode: ``train`` for the clips that step ``step`` is fed, ``eval`` for all views of the first
        videos that evaluation judges.
      split: of the data set; the run's own by default.
      clips: number of training clips, at most a batch, or of videos.
      step: of training; it is fed batch ``step``.
      max_frames: of each clip that are shown.
      warn: is told of each video that evaluation cannot use, and of what training would refuse.

    Returns:
      ``path``.

    Raises:
      ConfigError: there is no such data set or split, or the picture cannot be of this format.
      DataQualityError: the videos cannot be read.
    """
    # What a batch holds does not depend on the devices, so any machine can draw it.
    mesh = make_mesh(MeshSpec(data=-1, fsdp=1))
    data = RunData.open(spec, mesh, may_build=False)
    own = spec.data.train_split if mode == "train" else spec.data.eval_split
    source = data.source(split or own)
    names = data.description.class_names
    if mode == "train":
        for problem in unfit(spec, data.description):
            warn(problem)
        what = f"batch {step} as training is fed it, seed {spec.seed}"
        shown = _training_clips(spec, source, names, clips, step)
    else:
        what = f"all views of the first videos, {spec.eval.temporal_views} in time × "
        what += f"{spec.eval.spatial_crops} in space"
        shown = _evaluation_clips(spec, source, names, clips, warn)
    title = (
        f"{data.description.name} {data.description.version}, {source.split}: {what}\n"
        f"config {spec.name}, fingerprint {data.description.fingerprint[:12]}\n{_LEGEND}"
    )
    try:
        with data_errors_as_ours():
            return clip_sheet(shown, path, title=title, max_frames=max_frames)
    except ValueError as error:
        if "extension" not in str(error):
            raise
        raise ConfigError(f"--out={path}: {error}; name it *.png or *.jpg.") from error


def training_traces(spec: RunSpec, source: SplitSource, step: int) -> Iterator[ClipTrace]:
    """The clips of a batch, in its order, each with what was done to make it.

    As `data_pipelines.loader.train_batches` draws them: shuffled by the seed, anew in every epoch,
    with random draws of their own.

    Args:
      spec: the run.
      source: records.
      step: number of the batch.
    """
    clips = TrainClips(source, clip_spec(spec), spec.data.multi_label)
    order = grain.MapDataset.range(len(source)).seed(spec.seed).shuffle().repeat(None)
    traces = order.random_map(clips.explain)
    size = spec.train.global_batch
    return (traces[step * size + row] for row in range(size))


def _training_clips(
    spec: RunSpec, source: SplitSource, names: tuple[str, ...], clips: int, step: int
) -> Iterator[ShownClip]:
    """The first clips of a batch. Two at a time, as neighbours may be mixed with each other."""
    size = spec.train.global_batch
    drawn = draws_of(spec, step)
    traces = training_traces(spec, source, step)
    clips = min(clips, size)
    for row in range(0, clips, 2):
        pair = list(itertools.islice(traces, 2))
        rows = jax.tree.map(lambda leaf, row=row: leaf[row : row + 2], drawn)
        fed = fed_frames(np.stack([trace.clip for trace in pair]), rows, spec)
        for number, trace in enumerate(pair[: clips - row]):
            how = [*trace.operations, *_device_operations(rows, number, row)]
            yield _shown(
                source,
                names,
                [trace],
                fed[number][None],
                place=f"row {row + number} of the batch, record {trace.index}",
                captions=["\n".join([f"fed, {_size(fed)}", *how])],
            )


def _device_operations(rows: Draws, number: int, first: int) -> Iterator[str]:
    """What the compiled step does to one of a pair of clips."""
    if rows.mirrored is not None and bool(rows.mirrored[number]):
        yield "mirrored"
    if rows.mix is None:
        return
    share, partner = float(rows.mix.share[number]), first + (number ^ 1)
    if bool(rows.mix.is_cutmix[number]):
        yield f"CutMix: {share:.2f} its own, a box of row {partner}"
    else:
        yield f"mixup: {share:.2f} its own, {1 - share:.2f} of row {partner}"


def _evaluation_clips(
    spec: RunSpec,
    source: SplitSource,
    names: tuple[str, ...],
    videos: int,
    warn: Callable[[str], None],
) -> Iterator[ShownClip]:
    """All views of the first videos: one sheet row of frames for each view in time."""
    cutter = EvalClips(source, clip_spec(spec), spec.data.multi_label)
    crops = spec.eval.spatial_crops
    found = False
    for index in range(min(videos, len(source))):
        try:
            traces = cutter.explain(index)
        except VideoError as error:
            warn(f"{source!r}: record {index} cannot be used: {error}")
            continue
        found = True
        views = [traces[first : first + crops] for first in range(0, len(traces), crops)]
        for number, view in enumerate(views, 1):
            fed = np.stack([trace.clip for trace in view])
            yield _shown(
                source,
                names,
                view,
                fed,
                place=f"record {index}, view {number} of {len(views)} in time",
                captions=[
                    f"fed, {_size(fed)}, crop {crop} of {crops}\n{_place(trace)}"
                    for crop, trace in enumerate(view, 1)
                ],
            )
    if not found:
        raise DataQualityError(f"None of the first {videos} videos of {source!r} can be used.")


def _shown(
    source: SplitSource,
    names: tuple[str, ...],
    views: list[ClipTrace],
    fed: np.ndarray,
    *,
    place: str,
    captions: list[str],
) -> ShownClip:
    """One clip, or several crops of it: ``fed`` is uint8 ``[V, T, height, width, 3]``."""
    trace = views[0]
    record = source[trace.index]
    height, width = trace.frames.shape[1:3]
    lines = [
        name_classes(trace.targets, names),
        trace.video_id,
        place,
        f"{width}×{height}, {record['num_frames']} frames, {record['fps']:.4g} a second",
        f"shorter side resized to {trace.short_side}",
    ]
    if len(views) == 1:  # else each says where it is
        lines.append(_place(trace))
    return ShownClip(
        caption="\n".join(lines),
        video=trace.frames,
        numbers=trace.frame_numbers,
        seconds=trace.times,
        windows=[view.window for view in views],
        fed=fed,
        fed_captions=captions,
    )


def _place(trace: ClipTrace) -> str:
    window = trace.window
    return f"crop of {window.width}×{window.height} at x {window.left}, y {window.top}"


def _size(fed: np.ndarray) -> str:
    return f"{fed.shape[-2]}×{fed.shape[-3]}"
