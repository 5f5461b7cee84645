"""``vidtx data show``: the picture shows what training is fed, and where it was cut out."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from vidtx.config import MeshSpec, change, load_config, resolve
from vidtx.reporting.clip_sheet import WINDOW_COLOURS
from vidtx.run import problems_without_devices
from vidtx.run.data import RunData
from vidtx.run.show import draw_sheet, training_traces
from vidtx.sharding import make_mesh
from vidtx.training import augment, draw

# Shown pixel by pixel: sides between 128 and 224 are neither enlarged nor shrunk.
OPTIONS = {
    "data.name": "mine",
    "data.frames": 4,
    "data.stride": 2,
    "data.image_size": "(128,144)",
    "data.short_side": "(144,160)",
    "data.eval_short_side": 128,
    "train.global_batch": 6,
    "train.mixup": 0.8,
    "train.cutmix": 1.0,
    "data.color_jitter": 0.4,
    "eval.spatial_crops": 3,
}


def options(data_dir, **more):
    pairs = OPTIONS | {"data.data_dir": data_dir} | more
    return [f"--config.{key}={value}" for key, value in pairs.items()]


@pytest.fixture
def spec(data_dir):
    config = load_config("k400_divided")
    change(config, options(data_dir))
    return resolve(config, problems_without_devices)


def codes(pixels):
    """One whole number a pixel, uint8 [..., 3] to uint32 [...]."""
    return np.dot(pixels.astype(np.uint32), np.uint32([1 << 16, 1 << 8, 1]))


def pixels_of(path):
    return codes(np.asarray(Image.open(path).convert("RGB")))


def place_of(sheet, frame):
    """Where a frame, uint8 [height, width, 3], is on a sheet: (top, left), or None."""
    frame = codes(frame)
    height, width = frame.shape
    fits = sheet[: 1 - height, : 1 - width] == frame[0, 0]
    for y, x in ((height - 1, 0), (0, width - 1), (height // 2, width // 2)):
        below, right = sheet.shape[0] - height + 1 + y, sheet.shape[1] - width + 1 + x
        fits &= sheet[y:below, x:right] == frame[y, x]
    for top, left in np.argwhere(fits):
        if (sheet[top : top + height, left : left + width] == frame).all():
            return int(top), int(left)
    return None


def has(sheet, colour):
    return bool((sheet == codes(np.uint8(colour))).sum() > 100)


@pytest.mark.parametrize("step", [0, 3])
def test_traces_are_of_the_clips_that_training_is_fed(spec, step):
    data = RunData.open(spec, make_mesh(MeshSpec(data=-1, fsdp=1)), may_build=False)
    source = data.source("train")
    # Three devices or more would each hold a part of this batch; one holds all of it.
    whole = dataclasses.replace(data, mesh=jax.make_mesh((1, 1), ("data", "fsdp")))
    with whole.train_batches(source, step) as batches:
        batch = next(batches)
    traces = list(training_traces(spec, source, step))
    np.testing.assert_array_equal(np.stack([trace.clip for trace in traces]), batch["video"])
    assert [trace.index for trace in traces] == batch["index"].tolist()


def test_the_sheet_has_the_very_frames_that_the_model_is_fed(spec, data_dir, tmp_path, command):
    path = tmp_path / "deep" / "sheet.png"
    line = ["data", "show", "--config=k400_divided", f"--out={path}", "--clips=3", "--step=2"]
    assert command(*line, *options(data_dir)).out == f"{path}\n"
    sheet = pixels_of(path)

    data = RunData.open(spec, make_mesh(MeshSpec(data=-1, fsdp=1)), may_build=False)
    batch = np.stack([t.clip for t in training_traces(spec, data.source("train"), 2)])
    # Compiled, or every operation would be compiled for itself.
    draws = jax.jit(draw, static_argnums=(0, 2))(spec, 2, 6)
    feed = jax.jit(lambda clips: augment(clips, np.zeros((6, 1), np.float32), draws, spec)[0])
    fed = feed(batch)
    frames = np.rint((np.asarray(fed) * spec.data.std + spec.data.mean) * 255)
    frames = np.clip(frames, 0, 255).astype(np.uint8)
    places = [place_of(sheet, frame) for clip in frames[:3] for frame in clip]
    assert None not in places
    tops = [top for top, _ in places]
    assert tops == sorted(tops)
    assert len(set(tops)) == 3
    assert [left for _, left in places[:4]] == sorted({left for _, left in places})
    assert place_of(sheet, frames[3, 0]) is None
    assert has(sheet, WINDOW_COLOURS[0])
    assert not has(sheet, WINDOW_COLOURS[1])


def test_all_views_of_evaluation_are_shown(spec, data_dir, tmp_path, command):
    path = tmp_path / "views.png"
    line = ["data", "show", "--config=k400_divided", f"--out={path}", "--mode=eval", "--clips=2"]
    command(*line, *options(data_dir, **{"eval.temporal_views": 2}))
    sheet = pixels_of(path)
    assert all(has(sheet, colour) for colour in WINDOW_COLOURS)

    spec = dataclasses.replace(spec, eval=dataclasses.replace(spec.eval, temporal_views=2))
    mesh = jax.make_mesh((1, 1), ("data", "fsdp"))
    data = RunData.open(spec, mesh, may_build=False)
    with data.eval_batches(data.source("validation")) as batches:
        views = next(batches)["video"]
    assert views.shape[1] == 6
    places = [place_of(sheet, view[0]) for view in views[:2].reshape(12, 4, 128, 144, 3)]
    assert None not in places
    assert len(set(places)) == 12
    assert place_of(sheet, views[2, 0, 0]) is None


def test_frames_are_rgb_whatever_the_model_is_fed(spec, tmp_path):
    plain = draw_sheet(spec, tmp_path / "rgb.png", clips=2)
    bgr = dataclasses.replace(spec, data=dataclasses.replace(spec.data, channel_order="bgr"))
    turned = draw_sheet(bgr, tmp_path / "bgr.png", clips=2)
    np.testing.assert_array_equal(pixels_of(plain), pixels_of(turned))


def test_another_split_and_fewer_frames(spec, tmp_path):
    few = draw_sheet(spec, tmp_path / "few.png", clips=1, max_frames=2, split="train[:2]")
    all_of_it = draw_sheet(spec, tmp_path / "all.png", clips=1, split="train[:2]")
    assert pixels_of(few).shape[1] < pixels_of(all_of_it).shape[1]


def test_a_video_that_cannot_be_used_is_told(spec, data_dir, tmp_path, command):
    shutil.copytree(data_dir / "mine", tmp_path / "mine")
    damaged = next((tmp_path / "mine" / "1.0.0").glob("*validation*00001-of-00002"))
    content = bytearray(damaged.read_bytes())
    used = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))
    content[used[len(used) // 2]] ^= 0xFF
    damaged.write_bytes(content)
    line = ["data", "show", "--config=k400_divided", f"--out={tmp_path / 's.png'}", "--mode=eval"]
    told = command(*line, "--clips=9", *options(tmp_path))
    assert told.err.startswith("mine/validation: record ")
    assert "cannot be used: " in told.err
    assert (tmp_path / "s.png").exists()
    split = "--split=validation[2:]"  # the damaged one alone
    assert (
        "None of the first 9 videos"
        in command(*line, *options(tmp_path), split, "--clips=9", code=5).err
    )


@pytest.mark.parametrize(
    ("more", "message", "code"),
    [
        (["--split=night"], "night", 2),
        (["--config.data.name=yours"], "no data set 'yours'", 2),
        (["--config.data.frame=3"], "did you mean frames?", 2),
        (["--config.data.frames=0"], "frames is 0", 2),
        (["--config=nowhere.py"], "there is no file nowhere.py", 2),
        (["--out=sheet.docx"], "--out=sheet.docx: unknown file extension", 2),
    ],
)
def test_what_cannot_be_shown_is_told(
    data_dir, tmp_path, monkeypatch, command, more, message, code
):
    monkeypatch.chdir(tmp_path)
    line = ["data", "show", "--config=k400_divided", "--out=sheet.png", "--clips=1"]
    assert message in command(*line, *options(data_dir), *more, code=code).err
    assert not list(tmp_path.iterdir())
