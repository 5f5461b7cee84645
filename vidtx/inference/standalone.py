"""Runs the exported video model of the folder that this file lies in: videos in, classes out.

    python run.py clip.mp4 other.webm      # the likeliest classes of videos
    python run.py clips.npy --json         # of clips, uint8 [N, T, height, width, 3], RGB
    python run.py --verify                 # whether files and answers are as exported

It needs jax, flatbuffers, numpy and safetensors; for videos also av (PyAV), opencv-python-headless.
It may be copied and built upon: ``model = Exported("folder"); logits, features = model(clips)``.
"""

import argparse
import hashlib
import json
import math
import pathlib
import sys

import numpy as np

MANIFEST = "export.json"


class DamagedError(Exception):
    """A file of the folder is missing, or is not as it was exported."""


def read_manifest(folder):
    """What ``export.json`` says, whose own digest is looked at."""
    path = pathlib.Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
        told, found = manifest["digest"], digest_of(manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} cannot be read: {error}.") from error
    if told != found:
        raise DamagedError(f"{path} was changed: its digest is {found}, and it says {told}.")
    return manifest


def digest_of(manifest):
    """SHA-256 of a manifest's values, its own ``digest`` left out."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def check_files(folder, manifest, names=None):
    """Compares files with the sizes and digests of the manifest; raises DamagedError for all."""
    problems = []
    for name, told in manifest["files"].items():
        if names is not None and name not in names:
            continue
        path = pathlib.Path(folder) / name
        try:
            size = path.stat().st_size
            if size != told["bytes"]:
                problems.append(f"{path} has {size} bytes; {told['bytes']} were exported.")
                continue
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}.")
            continue
        if found != told["sha256"]:
            problems.append(f"{path} was changed: its SHA-256 is {found}, not {told['sha256']}.")
    if problems:
        raise DamagedError("\n".join(problems))


class Exported:
    """The program of a folder with its weights, ``labels`` and ``preprocessing``."""

    def __init__(self, folder=None, batch=8):
        import jax
        from jax import export
        from safetensors.numpy import load_file

        folder = pathlib.Path(folder or pathlib.Path(__file__).parent)
        self.manifest = read_manifest(folder)
        parts = self.manifest["parts"]
        check_files(folder, self.manifest, {parts[part] for part in parts if part != "reference"})
        self.labels = json.loads((folder / parts["labels"]).read_text(encoding="utf-8"))
        text = (folder / parts["preprocessing"]).read_text(encoding="utf-8")
        self.preprocessing = json.loads(text)
        self._batch = batch
        self._weights = jax.device_put(load_file(folder / parts["weights"]))
        program = export.deserialize(bytearray((folder / parts["program"]).read_bytes()))
        self._call = jax.jit(program.call)

    def __call__(self, clips):
        """Logits float32 [N, C] and features float32 [N, D] of clips uint8 [N, T, h, w, 3], RGB."""
        shape = tuple(self.manifest["inputs"]["clips"]["shape"][1:])
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[1:] != shape:
            raise ValueError(f"clips is {clips.dtype} {clips.shape}; expected uint8 (N, *{shape}).")
        answers = []
        for first in range(0, len(clips), self._batch):
            part = clips[first : first + self._batch]
            # Filled up, so that one program is compiled for every number of clips.
            filled = np.zeros((min(self._batch, len(clips)), *shape), np.uint8)
            filled[: len(part)] = part
            answer = self._call(self._weights, filled)
            answers.append([np.asarray(one)[: len(part)] for one in answer])
        return tuple(np.concatenate(parts) for parts in zip(*answers, strict=True))


def average(logits, how):
    """Probabilities float32 [C] of a video, from the logits [V, C] of its views."""
    logits = np.asarray(logits, np.float64)
    if how["average"] == "logits":
        logits = logits.mean(axis=0, keepdims=True)
    if how["multi_label"]:  # each class for itself
        shares = 1 / (1 + np.exp(-logits))
    else:
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    return shares.mean(axis=0).astype(np.float32)


def frame_numbers(num_frames, fps, how):
    """Which frames make the clips of a video: int64 [clips, T], in 0 … num_frames - 1."""
    frames, views, position = how["frames"], how["temporal_views"], how["temporal_position"]
    if how["sampling"] == "segments":
        bounds = np.round((num_frames - 1) / frames * np.arange(frames + 1)).astype(np.int64)
        return ((bounds[:-1] + bounds[1:]) // 2)[None]
    rate = how["target_fps"]
    step = float(how["stride"]) if rate is None else how["stride"] * (fps / rate)
    length = float(frames * how["stride"])
    length = length if rate is None else length / rate * fps
    if how["sampling"] == "span":
        room = max(num_frames - length, 0.0)
        if position == "cover":
            starts = length * _spread(math.ceil(num_frames / length), views)
        elif position == "start":
            starts = room * np.arange(views) / views
        else:
            starts = np.array([room / 2]) if views == 1 else np.linspace(0, room, views)
        # Single precision, from both ends to the middle, as torch.linspace has it.
        first, last = np.float32(starts)[:, None], np.float32(starts + length - 1)[:, None]
        gap = ((last - first) / np.float32(max(frames - 1, 1))).astype(np.float64)
        number = np.arange(frames)
        upper = last - gap * (frames - 1 - number)
        places = np.where((number < frames // 2) | (frames == 1), first + gap * number, upper)
        numbers = np.maximum(places.astype(np.float32), 0).astype(np.int64)
    elif position == "cover":
        held = math.ceil((num_frames - 0.5) / step)
        clips = _spread(math.ceil(held / frames), views)
        numbers = _nearest((clips[:, None] * frames + np.arange(frames)) * step)
    else:
        offsets = _nearest(np.arange(frames) * step)
        room = max(0, num_frames - 1 - int(offsets[-1]))
        if position == "start":
            starts = room * np.arange(views) // views
        else:
            starts = [room // 2] if views == 1 else _nearest(np.linspace(0, room, views))
        numbers = np.asarray(starts)[:, None] + offsets
    if how["short_videos"] == "loop":
        return numbers % num_frames
    return np.minimum(numbers, num_frames - 1)


def _nearest(places):
    return np.floor(places + 0.5).astype(np.int64)


def _spread(count, most):
    if count <= most:
        return np.arange(count)
    return np.array([(count - 1) // 2]) if most == 1 else _nearest(np.linspace(0, count - 1, most))


def crops(frame, how):
    """The spatial views of a frame uint8 [h, w, 3], each uint8 [height, width, 3]."""
    import cv2

    crop = (how["height"], how["width"])
    height, width = frame.shape[:2]
    scale = min(min(height, width) / how["short_side"], height / crop[0], width / crop[1])
    rows = min(height, max(1, round(crop[0] * scale)))
    columns = min(width, max(1, round(crop[1] * scale)))
    room = (height - rows, width - columns)
    corners = [[room[0] // 2, room[1] // 2]]
    if how["spatial_crops"] == 3:  # along the longer side
        axis = 0 if height > width else 1
        corners = [list(corners[0]) for _ in range(3)]
        corners[0][axis], corners[2][axis] = 0, room[axis]
    method = cv2.INTER_AREA if max(rows / crop[0], columns / crop[1]) > 2 else cv2.INTER_LINEAR
    for top, left in corners:
        part = frame[top : top + rows, left : left + columns]
        yield part if part.shape[:2] == crop else cv2.resize(part, crop[::-1], interpolation=method)


def frames_of(path):
    """Yields (frame, seconds) of a video, from the first frame to the last, or to damage."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        if stream is None:
            raise ValueError(f"{path} holds no moving pictures.")
        frames = container.decode(stream)
        shown = 0
        while True:
            try:
                frame = next(frames)
            except StopIteration:
                return
            except (av.error.FFmpegError, ValueError):
                if shown:
                    return
                raise
            shown += 1
            yield frame, None if frame.pts is None else float(frame.pts * frame.time_base)


def clips_of(path, how):
    """All views of a video, uint8 [V, T, height, width, 3], RGB, upright; V over time, then space.

    The file is decoded twice, to count its frames and to take those that are wanted.
    """
    import av
    from av.video.reformatter import VideoReformatter

    times = [seconds for _, seconds in frames_of(path)]
    if not times:
        raise ValueError(f"{path} holds no frame that can be decoded.")
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        codec, fps = stream.codec_context, float(stream.average_rate or stream.guessed_rate or 30)
        # Elsewhere packets may not number frames, and the rate is what the container tells.
        counted = codec.codec.canonical_name in ("h264", "hevc", "vp9", "av1", "mjpeg")
        counted &= not {"mp4", "matroska"}.isdisjoint(container.format.name.split(","))
        if codec.codec.canonical_name == "h264":
            counted &= "444" not in (codec.pix_fmt or "444") and codec.field_order in (0, 1)
    if counted and None not in times and times[-1] > times[0]:
        fps = (len(times) - 1) / (times[-1] - times[0])
    numbers = frame_numbers(len(times), fps, how)
    shape = (len(numbers), how["spatial_crops"], how["frames"], how["height"], how["width"], 3)
    clips, reformatter = np.empty(shape, np.uint8), VideoReformatter()
    for number, (frame, _) in enumerate(frames_of(path)):
        places = np.argwhere(numbers == number)
        if len(places):
            picture = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            turns = frame.rotation // 90 if frame.rotation % 90 == 0 else 0
            views = list(crops(np.ascontiguousarray(np.rot90(picture, turns)), how))
            for view, place in places:
                clips[view, :, place] = views
        if number >= numbers.max():
            break
    return clips.reshape(-1, *shape[2:])


def verify(folder, model=None):
    """Checks every file, answers the reference clips, and tells the largest ``difference``."""
    import jax

    manifest = read_manifest(folder)
    check_files(folder, manifest)
    reference = np.load(pathlib.Path(folder) / manifest["parts"]["reference"])
    logits, _ = (model or Exported(folder))(reference["clips"])
    difference = float(np.abs(logits - reference["logits"]).max())
    platform = jax.default_backend()
    bounds = manifest["reference"]["bounds"]
    bound = bounds.get(platform, bounds["elsewhere"])
    ok = bool(difference <= bound)  # never of what is no number
    return {"difference": difference, "bound": bound, "platform": platform, "ok": ok}


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("inputs", nargs="*", help="videos, or .npy files of clips")
    parser.add_argument("--folder", default=str(pathlib.Path(__file__).parent))
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verify", action="store_true")
    options = parser.parse_args()
    if options.verify:
        print(json.dumps(found := verify(options.folder)))
        return 0 if found["ok"] else 1
    if not options.inputs:
        parser.error("name a video, or --verify")
    model, answers = Exported(options.folder), []
    for path in options.inputs:
        clips = np.load(path) if path.endswith(".npy") else clips_of(path, model.preprocessing)
        logits, _ = model(clips)
        probabilities = average(logits, model.preprocessing)
        top = np.argsort(-probabilities, kind="stable")[: options.top]
        names = [(model.labels[row], float(probabilities[row])) for row in top]
        answers.append({"input": path, "top": names, "logits": logits.tolist()})
        if not options.json:
            print(path, *(f"  {share:7.2%}  {name}" for name, share in names), sep="\n")
    if options.json:
        print(json.dumps(answers))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DamagedError, OSError, RuntimeError, ValueError) as problem:
        sys.exit(f"run.py: {problem}")
