"""A small UCF101, as it is unpacked: AVI files in folders of classes, and the lists of splits."""

import fractions

import av
import numpy as np

# Class to how its pictures move. The archive spells the last one HandstandPushups.
CLASSES = {"ApplyEyeMakeup": (0, 2), "Biking": (2, 0), "HandStandPushups": (1, 1)}
GROUPS = {"train": ("g08", "g09"), "test": ("g01",)}
MISSING = "v_Biking_g09_c02.avi"
CUT = "v_ApplyEyeMakeup_g08_c02.avi"


def write_ucf101(folder):
    """Writes ``UCF-101`` and ``ucfTrainTestlist`` into ``folder``: twelve videos to train on, of
    which one is missing and one was cut, and six to be judged on.
    """
    videos, lists = folder / "UCF-101", folder / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    names = sorted(CLASSES)
    (lists / "classInd.txt").write_text(
        "".join(f"{number} {name}\n" for number, name in enumerate(names, 1))
    )
    for split, groups in GROUPS.items():
        rows = []
        for number, name in enumerate(names, 1):
            own = videos / ("HandstandPushups" if name == "HandStandPushups" else name)
            own.mkdir(parents=True, exist_ok=True)
            for group in groups:
                for clip in (1, 2):
                    file = f"v_{name}_{group}_c{clip:02d}.avi"
                    rows.append(f"{name}/{file}" + (f" {number}" if split == "train" else ""))
                    path = own / file.replace(name, own.name)
                    if file != MISSING:
                        write_avi(path, CLASSES[name], seed=len(rows) + 100 * number)
                    if file == CUT:
                        path.write_bytes(path.read_bytes()[:3000])
        (lists / f"{split}list01.txt").write_text("\n".join(rows) + "\n")
    return videos, lists


def write_avi(path, motion, seed, frames=20, height=48, width=64):
    """Writes a moving texture as UCF101 is encoded: MPEG-4 in AVI, 25 frames per second."""
    rng = np.random.default_rng(seed)
    canvas = np.kron(rng.integers(0, 256, (14, 16, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"bf": "2", "g": "12"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            top, left = (step * number for step in motion)
            picture = np.ascontiguousarray(canvas[top : top + height, left : left + width])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, fractions.Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
