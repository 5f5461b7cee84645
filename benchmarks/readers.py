"""Ways to read chosen frames of a video, each with one thread, all with the same signature.

A reader is ``f(data: bytes, numbers) -> uint8 [len(numbers), height, width, 3]``, RGB, numbers
ascending. Packages that are not installed are left out of :func:`available` and named in
:func:`absent`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import io
import os
import tempfile
from collections.abc import Callable, Sequence

import av
import cv2
import numpy as np

from data_pipelines.decoding.decode import decode_frames

__all__ = ["READERS", "Reader", "absent", "available", "version"]

Reader = Callable[[bytes, Sequence[int]], np.ndarray]


def vidtx(data: bytes, numbers: Sequence[int]) -> np.ndarray:
    """Ours: ``data_pipelines.decoding.decode.decode_frames``."""
    return decode_frames(data, numbers)


def pyav(data: bytes, numbers: Sequence[int]) -> np.ndarray:
    """From the beginning to the last wanted frame, as loaders after PySlowFast's do."""
    wanted, found = set(numbers), []
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                found.append(frame.to_ndarray(format="rgb24"))
                if len(found) == len(wanted):
                    break
    return np.stack(found)


def opencv(data: bytes, numbers: Sequence[int]) -> np.ndarray:
    """Grabs frame by frame, converts the wanted ones; OpenCV reads files alone."""
    wanted, found = set(numbers), []
    with tempfile.NamedTemporaryFile(suffix=".mp4", dir=_memory()) as file:
        file.write(data)
        file.flush()
        threads = [cv2.CAP_PROP_N_THREADS, 1]
        capture = cv2.VideoCapture(file.name, cv2.CAP_FFMPEG, threads)
        for number in range(max(numbers) + 1):
            if not capture.grab():
                break
            if number in wanted:
                found.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
        capture.release()
    return np.stack(found)


def decord(data: bytes, numbers: Sequence[int]) -> np.ndarray:
    """``decord.VideoReader.get_batch``, of decord or of its successor decord2."""
    module = importlib.import_module("decord")
    reader = module.VideoReader(io.BytesIO(data), ctx=module.cpu(0), num_threads=1)
    return reader.get_batch(list(numbers)).asnumpy()


def torchcodec(data: bytes, numbers: Sequence[int]) -> np.ndarray:
    """TorchCodec in its faster mode, which trusts the header to number the frames."""
    return _torchcodec(data, numbers, "approximate")


def torchcodec_exact(data: bytes, numbers: Sequence[int]) -> np.ndarray:
    """TorchCodec in the mode that scans the file before it numbers the frames."""
    return _torchcodec(data, numbers, "exact")


def _torchcodec(data: bytes, numbers: Sequence[int], mode: str) -> np.ndarray:
    importlib.import_module("torch").set_num_threads(1)
    decoder = importlib.import_module("torchcodec.decoders").VideoDecoder(
        data, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode=mode
    )
    return decoder.get_frames_at(list(numbers)).data.numpy()


def _memory() -> str | None:
    """A folder in memory, for a reader of files to pay for no disk, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


# name in the table: (reader, module that it needs, distributions that may hold that module)
READERS: dict[str, tuple[Reader, str, tuple[str, ...]]] = {
    "vidtx": (vidtx, "av", ("av",)),
    "pyav sequential": (pyav, "av", ("av",)),
    "opencv grab": (opencv, "cv2", ("opencv-python-headless", "opencv-python")),
    "decord": (decord, "decord", ("decord2", "decord")),
    "torchcodec approximate": (torchcodec, "torchcodec", ("torchcodec",)),
    "torchcodec exact": (torchcodec_exact, "torchcodec", ("torchcodec",)),
}


def available(sample: bytes) -> dict[str, Reader]:
    """Returns the readers whose package is here and reads a sample."""
    found = {}
    for name, (reader, module, _) in READERS.items():
        if importlib.util.find_spec(module) is None:
            continue
        try:
            reader(sample, [0])
        except Exception as error:  # a package of another's: any may come
            print(f"{name}: installed, and does not work ({type(error).__name__}: {error})"[:300])
        else:
            found[name] = reader
    return found


def absent() -> list[str]:
    """Returns the names of the readers whose package is not installed."""
    return [name for name, row in READERS.items() if importlib.util.find_spec(row[1]) is None]


def version(name: str) -> str:
    """Returns the package behind a reader and its version, such as ``av 18.1.0``."""
    _, module, distributions = READERS[name]
    loaded = getattr(importlib.import_module(module), "__version__", None)
    for distribution in distributions:
        try:
            found = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        if loaded is None or found.startswith(loaded) or distribution == distributions[-1]:
            return f"{distribution} {found if loaded is None else loaded}"
    return f"{module} {loaded or ''}".strip()
