"""The sheet of clips beside their videos, looked at pixel by pixel."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from vidtx.reporting.clip_sheet import WINDOW_COLOURS, ShownClip, clip_sheet

GREY, RED, GREEN = (120, 120, 120), (250, 10, 20), (10, 250, 20)


def plain(colour, frames, height, width):
    return np.broadcast_to(np.uint8(colour), (frames, height, width, 3))


def shown(height, width, windows, frames=4, crop=(128, 128), colours=(RED, GREEN, RED)):
    fed = [plain(colour, frames, *crop) for colour in colours[: len(windows)]]
    return ShownClip(
        caption="kick drop\nclip_07\nrecord 7",
        video=plain(GREY, frames, height, width),
        numbers=np.arange(frames) * 25,
        seconds=np.arange(frames) * 1.0,
        windows=windows,
        fed=np.stack(fed),
        fed_captions=["as fed\nmirrored"] * len(windows),
    )


def drawn(tmp_path, clips, **options):
    path = clip_sheet(clips, tmp_path / "sheet.png", title="demo\nbatch 0", **options)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def boxes(pixels, colour, least=1):
    """(left, top, right, bottom) of each stretch of columns that has the colour, from the left."""
    has = (np.abs(pixels - np.array(colour)) <= 2).all(-1)
    columns = np.flatnonzero(has.sum(0) >= least)
    found = []
    for part in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
        rows = np.flatnonzero(has[:, part].any(1))
        found.append((part[0], rows[0], part[-1] + 1, rows[-1] + 1))
    return found


@pytest.mark.parametrize(
    ("size", "window", "scale"),
    [
        ((160, 200), (16, 60, 112, 100), 1),  # as they are
        ((320, 448), (32, 100, 256, 256), 0.5),  # shrunk
        ((448, 320), (100, 32, 256, 256), 0.5),  # upright
        ((16, 16), (1, 2, 12, 13), 8),  # enlarged
    ],
)
def test_the_window_is_drawn_where_the_crop_was(tmp_path, size, window, scale):
    pixels = drawn(tmp_path, [shown(*size, [window])])
    # Besides, a bar of 4 pixels at the left marks the row of what came out of it.
    found = [box for box in boxes(pixels, WINDOW_COLOURS[0]) if box[2] - box[0] > 4]
    assert len(found) == 4
    top, left, height, width = (round(scale * length) for length in window)
    for box, fed in zip(found, boxes(pixels, RED, least=100), strict=True):
        assert (box[2] - box[0], box[3] - box[1]) == (width, height)
        start = (fed[0] + fed[2]) / 2 - size[1] * scale / 2  # of the video's frame, centred
        assert abs(box[0] - start - left) <= 1
        inside = pixels[box[1] + 2 : box[3] - 2, box[0] + 2 : box[2] - 2]
        assert (inside == GREY).all()
        # Outside of it the video is pale: above it, so many rows.
        pale = (np.abs(pixels[: box[1], box[0] + 3] - (np.array(GREY) + 255) / 2) <= 1).all(-1)
        assert pale.sum() == top
        assert fed[1] > box[3]
    # All frames of a video are in one line, and so are all that are fed.
    assert len({box[1] for box in found}) == 1


def test_each_of_three_windows_has_a_row_in_its_colour(tmp_path):
    windows = [(0, 0, 128, 128), (0, 36, 128, 128), (0, 72, 128, 128)]
    pixels = drawn(tmp_path, [shown(128, 200, windows, colours=(RED, GREEN, (10, 20, 250)))])
    bars = [boxes(pixels[:, :40], colour)[0] for colour in WINDOW_COLOURS]
    fed = [boxes(pixels, colour, least=128)[0] for colour in (RED, GREEN, (10, 20, 250))]
    assert [(bar[1], bar[3]) for bar in bars] == [(row[1], row[3]) for row in fed]
    assert bars[0][3] < bars[1][1] < bars[1][3] < bars[2][1]


def test_frames_have_their_numbers_and_times_below_them(tmp_path):
    clip = shown(160, 200, [(0, 0, 160, 160)])
    pixels = drawn(tmp_path, [clip])
    frame = boxes(pixels, GREY, least=100)[0]
    fed = boxes(pixels, RED, least=100)[0]
    line = slice(frame[3], fed[1])
    assert pixels[line, frame[0] : frame[2]].min() < 170
    other = dataclasses.replace(clip, seconds=clip.seconds + 7.5)
    changed = (drawn(tmp_path, [other]) != pixels).any(-1)
    rows = np.flatnonzero(changed.any(1))
    assert rows.size
    assert frame[3] <= rows[0] <= rows[-1] < fed[1]


def test_captions_and_title_are_written(tmp_path):
    clip = shown(160, 200, [(0, 0, 160, 160)])
    pixels = drawn(tmp_path, [clip])
    for change in ({"caption": "another"}, {"fed_captions": ["as fed"]}):
        changed = (drawn(tmp_path, [dataclasses.replace(clip, **change)]) != pixels).any(-1)
        columns = np.flatnonzero(changed.any(0))
        assert 16 <= columns[0] <= columns[-1] < boxes(pixels, RED, least=100)[0][0]


def test_of_long_clips_some_frames_are_shown_evenly(tmp_path):
    frames = np.stack([np.full((128, 128, 3), 3 * number, np.uint8) for number in range(32)])
    clip = dataclasses.replace(shown(128, 128, [(0, 0, 128, 128)], frames=32), fed=frames[None])
    pixels = drawn(tmp_path, [clip, clip], max_frames=3)
    count = [(pixels == 3 * number).all(-1).sum() for number in range(32)]
    # Of both clips.
    assert [n for n in range(32) if count[n] >= 2 * 128 * 128] == [0, 16, 31]


def test_a_sheet_of_anything_else_is_refused(tmp_path):
    clip = shown(64, 64, [(0, 0, 64, 64)])
    with pytest.raises(ValueError, match="fed is float32"):
        dataclasses.replace(clip, fed=clip.fed.astype(np.float32))
    with pytest.raises(ValueError, match=r"\[3, 4\]"):
        dataclasses.replace(clip, seconds=clip.seconds[1:])
    with pytest.raises(ValueError, match="each must be one number"):
        dataclasses.replace(clip, windows=[])
    for clips, frames, match in (([], 8, "there is none"), ([clip], 0, "max_frames=0")):
        with pytest.raises(ValueError, match=match):
            clip_sheet(clips, tmp_path / "s.png", title="x", max_frames=frames)
    assert not list(tmp_path.iterdir())
