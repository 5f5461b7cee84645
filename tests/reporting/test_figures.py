import math

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from vidtx.reporting import contact_sheet, plot_confusion, plot_curves

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (77, 88, 99)


def _clip(colours, height, width):
    """One frame of plain colour each: uint8 [T, height, width, 3]."""
    frames = np.array(colours, np.uint8)[:, None, None, :]
    return np.broadcast_to(frames, (len(colours), height, width, 3))


def _box(pixels, colour):
    """Where a colour is: (left, top, right, bottom), and whether it fills that box."""
    ys, xs = np.nonzero((pixels == colour).all(-1))
    left, top, right, bottom = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return (left, top, right, bottom), len(xs) == (right - left) * (bottom - top)


def _has(pixels, hexadecimal):
    colour = [int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels.astype(int) - colour).max(-1) <= 3).any())


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_small_frames_are_enlarged_in_their_places(tmp_path):
    clips = np.stack([_clip([RED, GREEN], 48, 32), _clip([BLUE, GREY], 48, 32)])
    path = contact_sheet(clips, ["moving left\nrecord 1", "x"], tmp_path / "deep" / "sheet.png")
    assert path == tmp_path / "deep" / "sheet.png"
    pixels = _pixels(path)
    boxes = {}
    for colour in (RED, GREEN, BLUE, GREY):
        boxes[colour], filled = _box(pixels, colour)
        left, top, right, bottom = boxes[colour]
        assert filled
        assert (right - left, bottom - top) == (96, 144)
    assert boxes[RED][1] == boxes[GREEN][1] < boxes[BLUE][1] == boxes[GREY][1]
    assert boxes[RED][0] == boxes[BLUE][0] < boxes[GREEN][0] == boxes[GREY][0]
    # Captions at the left and frame numbers on top: something dark is there.
    left, top = boxes[RED][:2]
    assert pixels[top : top + 144, :left].min() < 100
    assert pixels[:top, left:].min() < 160


def test_enlarging_keeps_every_pixel(tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    frame[..., 0] = np.minimum(frame[..., 0], 250)  # never the paper's white
    pixels = _pixels(contact_sheet(frame[None], ["noise"], tmp_path / "sheet.png"))
    enlarged = np.kron(frame[0], np.ones((8, 8, 1), np.uint8))
    assert (pixels[-16 - 128 : -16, -16 - 128 : -16] == enlarged).all()


def test_long_clips_show_first_to_last_frame(tmp_path):
    colours = [(i * 10, 0, 255 - i) for i in range(20)]
    path = contact_sheet([_clip(colours, 64, 64)], ["x"], tmp_path / "s.png", max_frames=3)
    shown = [c for c in colours if (_pixels(path) == c).all(-1).any()]
    assert shown == [colours[0], colours[10], colours[19]]


def test_clips_of_different_sizes_share_a_sheet(tmp_path):
    clips = [_clip([RED] * 2, 360, 640), _clip([GREEN] * 5, 224, 224), _clip([BLUE], 1, 1)]
    captions = ["a " * 200, "a_file_name_without_spaces" * 9, ""]
    pixels = _pixels(contact_sheet(clips, captions, tmp_path / "s.png"))
    heights = [_box(pixels, c)[0][3] - _box(pixels, c)[0][1] for c in (RED, GREEN, BLUE)]
    assert heights == [144, 224, 128]
    assert pixels.shape[1] < 2000


@pytest.mark.parametrize(
    ("clips", "captions", "frames", "match"),
    [
        (np.zeros((0, 2, 8, 8, 3), np.uint8), [], 8, "got 0 clips"),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), ["a"], 8, "2 clips and 1 captions"),
        (np.zeros((1, 2, 8, 8, 3), np.float32), ["a"], 8, r"Clip 0 is float32 \[2, 8, 8, 3\]"),
        (np.zeros((1, 2, 8, 8), np.uint8), ["a"], 8, r"uint8 \[T, height, width, 3\]"),
        (np.zeros((1, 0, 8, 8, 3), np.uint8), ["a"], 8, "none of them empty"),
        (np.zeros((1, 2, 8, 8, 3), np.uint8), ["a"], 0, "max_frames=0"),
    ],
)
def test_impossible_sheets_are_refused(tmp_path, clips, captions, frames, match):
    with pytest.raises(ValueError, match=match):
        contact_sheet(clips, captions, tmp_path / "s.png", max_frames=frames)
    assert list(tmp_path.iterdir()) == []


def test_curves_draw_whatever_there_is(tmp_path):
    training = [
        {"step": s, "train/loss": 5 / s, "train/accuracy": 0.5, "train/learning_rate": 0.1}
        for s in range(1, 200)
    ]
    evaluation = [{"step": s, "eval/top1": 0.4, "eval/top5": 0.8} for s in (100, 200)]
    loss_only = _pixels(plot_curves([{"step": 1, "train/loss": 2.0}], tmp_path / "a.png"))
    both = _pixels(plot_curves(training + evaluation, tmp_path / "b.png"))
    assert both.shape[0] > 1.5 * loss_only.shape[0]  # three panels, not one
    assert _has(loss_only, "#0072B2")
    assert not _has(loss_only, "#009E73")
    assert all(_has(both, colour) for colour in ("#0072B2", "#D55E00", "#009E73", "#AA4499"))


def test_curves_of_many_labels_have_their_own_figures(tmp_path):
    records = [{"step": s, "eval/map": 0.4, "eval/hit1": 0.8} for s in (100, 200)]
    pixels = _pixels(plot_curves(records, tmp_path / "a.png"))
    assert all(_has(pixels, colour) for colour in ("#D55E00", "#009E73"))
    assert not _has(pixels, "#0072B2")


@pytest.mark.parametrize(
    "records", [[], [{"step": 1, "timing/x": 1.0}], [{"step": 1, "train/loss": math.nan}]]
)
def test_curves_of_a_run_without_figures_are_a_picture_too(tmp_path, records):
    assert _pixels(plot_curves(records, tmp_path / "a.png")).shape[1] == 1260


def test_a_non_finite_loss_is_marked(tmp_path):
    records = [{"step": s, "train/loss": math.inf if s == 5 else 1.0} for s in range(10)]
    assert _has(_pixels(plot_curves(records, tmp_path / "a.png")), "#D55E00")


def test_two_classes_get_names_and_colours_by_row_shares(tmp_path):
    matrix = np.array([[1, 3], [0, 0]])
    names = ["costs $5 and $x^", "a name " * 20]
    pixels = _pixels(plot_confusion(matrix, names, tmp_path / "c.png"))
    for share in (0.25, 0.75):
        colour = 255 * np.array(colormaps["Blues"](share)[:3])
        # More of it than the colour bar has.
        assert (np.abs(pixels - colour).max(-1) <= 3).sum() > 150 * 150
    assert _has(pixels, "#d9dbde")  # the class without clips


@pytest.mark.parametrize("classes", [31, 400, 700])
def test_every_cell_of_a_large_confusion_is_a_square_of_whole_pixels(tmp_path, classes):
    matrix = np.eye(classes, dtype=int) * 9
    pixels = _pixels(plot_confusion(matrix, [""] * classes, tmp_path / "c.png"))
    cell = max(2, 1200 // classes)
    dark = [round(255 * value) for value in colormaps["Blues"](1.0)[:3]]
    # The right-most part is the colour bar's.
    place = (pixels[:, : pixels.shape[1] - 190] == dark).all(-1)
    left, top = np.nonzero(place.any(0))[0][0], np.nonzero(place.any(1))[0][0]
    side = classes * cell
    expected = np.kron(np.eye(classes, dtype=bool), np.ones((cell, cell), bool))
    assert (place[top : top + side, left : left + side] == expected).all()


@pytest.mark.parametrize(
    ("matrix", "match"),
    [
        (np.zeros((2, 3)), r"\[2, 3\] for 2 class names"),
        (np.zeros((3, 3)), "for 2 class names"),
        (np.array([[1, -1], [0, 0]]), "0 or more"),
        (np.array([[1, np.nan], [0, 0]]), "finite"),
    ],
)
def test_impossible_confusions_are_refused(tmp_path, matrix, match):
    with pytest.raises(ValueError, match=match):
        plot_confusion(matrix, ["a", "b"], tmp_path / "c.png")


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.nonsense"
    path.write_text("old")
    with pytest.raises(ValueError, match="nonsense"):
        plot_curves([], path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.nonsense", "old")]
