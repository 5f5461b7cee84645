"""Videos read ahead of the model, in threads: their views, or why there are none."""

import collections
import concurrent.futures
import dataclasses
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from data_pipelines.clip_spec import ClipSpec
from data_pipelines.clip_trace import ClipTrace
from data_pipelines.decoding.decode import VideoInfo
from data_pipelines.errors import TooFewFramesError, UndecodableError, VideoError
from data_pipelines.video_reader import VideoReader
from vidtx.inference.answers import FailedVideo, View

__all__ = ["ReadVideo", "ahead", "broken_note", "failed", "read_ahead", "read_clips"]

_T = TypeVar("_T")
_WAIT_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class ReadVideo:
    """A video's views, ready to be fed.

    Attributes:
      video: its path.
      clips: uint8 ``[V, T, height, width, 3]``, RGB.
      views: what each of them shows.
      info: of the file.
      complete: whether it could be read to its end.
      notes: what a person should know, a sentence each.
    """

    video: str
    clips: np.ndarray
    views: tuple[View, ...]
    info: VideoInfo
    complete: bool
    notes: tuple[str, ...]


def read_clips(path: str | os.PathLike, spec: ClipSpec) -> ReadVideo:
    """Reads all views of one video.

    Of a video that breaks off, the views are those of the part that can be decoded.

    Raises:
      VideoError: nothing can be made of it.
    """
    with VideoReader(path) as video:
        notes, complete = [], True
        if video.cut_off:
            notes.append(f"The file breaks off: {video.cut_off}. The answer is of what is there.")
            complete = False
        try:
            traces = video.clips(spec)
        except (TooFewFramesError, UndecodableError) as error:
            count = video.readable()
            if not 0 < count < video.info.num_frames:
                raise
            traces = video.clips(spec, num_frames=count)
            notes.append(broken_note(error, float(video.seconds(count - 1))))
            complete = False
        return ReadVideo(
            video=video.path,
            clips=np.stack([trace.clip for trace in traces]),
            views=tuple(_view(trace, video) for trace in traces),
            info=video.info,
            complete=complete,
            notes=tuple(notes),
        )


def broken_note(error: VideoError, seconds: float) -> str:
    """Says that a video was read up to some second only."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]} The answer is of the first {seconds:.1f} s."


def read_ahead(
    videos: Iterable[str | os.PathLike], spec: ClipSpec, *, threads: int
) -> Iterator[ReadVideo | FailedVideo]:
    """Yields what is read of videos, in their order, while others are being read.

    At most ``threads + 1`` videos' views are held at once.
    """
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()

    def read(path: str | os.PathLike) -> ReadVideo | FailedVideo:
        try:
            return read_clips(path, spec)
        except VideoError as error:
            return failed(path, error)
        except MemoryError as error:
            return FailedVideo(os.fspath(path), "too_large", f"memory does not suffice: {error}")

    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="vidtx-read")
    try:
        for path in videos:
            waiting.append(pool.submit(read, path))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def failed(path: str | os.PathLike, error: VideoError) -> FailedVideo:
    """What is told of a video that cannot be used."""
    text = str(error)
    return FailedVideo(os.fspath(path), error.kind, text[:1].upper() + text[1:])


def ahead(items: Iterable[_T], size: int) -> Iterator[_T]:
    """Yields items that a thread takes from elsewhere, ``size`` ahead at most.

    What the other side raises is raised here, behind the items before it.
    """
    ready: queue.Queue = queue.Queue(size)
    ended = threading.Event()

    def put(what) -> bool:
        while not ended.is_set():
            try:
                ready.put(what, timeout=_WAIT_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put(None)
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, name="vidtx-ahead", daemon=True)
    thread.start()
    try:
        while (got := ready.get()) is not None:
            item, error = got
            if error is not None:
                raise error
            yield item
    finally:
        ended.set()
        thread.join()


def _view(trace: ClipTrace, video: VideoReader) -> View:
    return View(
        frames=tuple(map(int, trace.frame_numbers)),
        seconds=tuple(map(float, video.seconds(trace.frame_numbers))),
        window=tuple(map(int, trace.window)),
    )
