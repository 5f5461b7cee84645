"""``vidtx attention``: planted attention is found in the film, on the sheet and in the arrays."""

import io
import json

import av
import cv2
import numpy as np
import pytest

from tests.cli import planted
from vidtx.cli import main

FRAMES, ROWS, COLUMNS = planted.GRID


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """The video in which it is known what is bright."""
    path = tmp_path_factory.mktemp("planted") / "marker.mp4"
    path.write_bytes(planted.video())
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Returns f(scheme) -> the folder of the model made by hand; not to be changed."""
    made = {}

    def make(scheme):
        if scheme not in made:
            made[scheme] = planted.write(tmp_path_factory.mktemp("weights") / scheme, scheme)
        return made[scheme]

    return make


@pytest.fixture(scope="session")
def maps(weights, video, tmp_path_factory):
    """What the command says, and the folder with all that it writes of the divided model."""
    out = tmp_path_factory.mktemp("maps") / "all"
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stdout)
        patch.setattr("sys.stderr", stderr)
        arguments = [str(video), f"--weights={weights('divided')}", f"--out={out}", "--at=1"]
        assert main(["attention", *arguments, "--json"]) == 0
    return json.loads(stdout.getvalue()), out


def patch_means(picture):
    """Means over the patches, [H, W], of a picture whose sides they divide."""
    height, width = picture.shape
    return picture.reshape(ROWS, height // ROWS, COLUMNS, width // COLUMNS).mean((1, 3))


def light(laid, plain):
    """What the map adds to a frame: colours at one half, over the frame's grey at one half."""
    grey = cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return patch_means(laid.astype(np.float64).sum(-1) - 1.5 * grey)


def check_light(lights):
    """Of [T, H, W]: the marker is where each frame is lit up most, the brightest most of all."""
    lights = np.asarray(lights)
    for frame, (place, _) in planted.BRIGHT.items():
        assert np.unravel_index(lights[frame].argmax(), (ROWS, COLUMNS)) == place, frame
    assert np.unravel_index(lights.argmax(), lights.shape) == planted.HOTTEST
    missing = lights[2]
    assert missing.max() < min(lights[frame].max() for frame in planted.BRIGHT)


def test_arrays_hold_the_light_where_the_marker_is(maps):
    told, folder = maps
    with np.load(folder / "attention.npz") as arrays:
        check_light(arrays["maps"])
        assert arrays["maps"].dtype == np.float32
        np.testing.assert_allclose(arrays["maps"].sum() + arrays["class_token"].sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(
            arrays["frame_weights"], arrays["maps"].sum((1, 2)) / arrays["maps"].sum(), rtol=1e-5
        )
        assert arrays["frame_numbers"].tolist() == [8, 10, 12, 14]
        np.testing.assert_allclose(arrays["seconds"], [1.0, 1.25, 1.5, 1.75])
        assert arrays["frames"].shape == (FRAMES, ROWS * 8, COLUMNS * 8, 3)
        assert arrays["class_names"].tolist() == ["dark", "bright"]
        assert arrays["probabilities"].argmax() == 1
        assert json.loads(str(arrays["method"])) == told["method"]
    hottest = planted.HOTTEST
    assert tuple(told["hottest"][name] for name in ("frame", "row", "column")) == hottest
    assert told["grid"] == list(planted.GRID)
    assert [frame["seconds"] for frame in told["frames"]] == [1.0, 1.25, 1.5, 1.75]
    assert told["top"][0]["name"] == "bright"
    assert told["method"] == {"name": "rollout", "scheme": "divided", "layers": 2, "query": None}
    assert [path.rsplit("/")[-1] for path in told["files"]] == [
        "attention.mp4", "attention.png", "attention.npz",
    ]  # fmt: skip


def test_the_film_is_lit_where_the_marker_is(maps):
    with av.open(str(maps[1] / "attention.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        rate = stream.average_rate
    assert len(pictures) / rate == 1  # four frames, each a quarter of a second
    each = len(pictures) // FRAMES
    shown = [pictures[frame * each + each // 2] for frame in range(FRAMES)]
    width = COLUMNS * 8 * 6  # enlarged six times
    plain = [picture[: ROWS * 8 * 6, :width] for picture in shown]
    for frame, ((row, column), _) in planted.BRIGHT.items():
        means = patch_means(plain[frame].mean(-1))
        assert np.unravel_index(means.argmax(), means.shape) == (row, column)
    laid = [picture[: ROWS * 8 * 6, width + 8 : 2 * width + 8] for picture in shown]
    check_light([light(a, b) for a, b in zip(laid, plain, strict=True)])


def test_the_sheet_is_lit_where_the_marker_is(maps):
    sheet = cv2.imread(str(maps[1] / "attention.png"))[..., ::-1].copy()
    with np.load(maps[1] / "attention.npz") as arrays:
        frames = arrays["frames"]
    lights, places = [], []
    for frame in frames:
        plain = frame.repeat(4, axis=0).repeat(4, axis=1)
        found = cv2.matchTemplate(sheet, plain, cv2.TM_SQDIFF)
        distance, _, (x, y), _ = cv2.minMaxLoc(found)
        assert distance < 1  # exactly as it was fed
        places.append((y, x))
        height, width, _ = plain.shape
        below = sheet[y + height + 4 : y + 2 * height + 4, x : x + width]
        lights.append(light(below, plain))
    check_light(lights)
    assert places == sorted(places)
    assert len({y for y, _ in places}) == 1  # in one row, in order


def test_frames_weigh_what_joint_attention_gives_them(command, weights, video, tmp_path):
    out = tmp_path / "joint.npz"
    told = command("attention", video, f"--weights={weights('joint')}", f"--out={out}", "--at=1")
    with np.load(out) as arrays:
        check_light(arrays["maps"])
        shares = arrays["frame_weights"]
    assert shares.argmax() == 1
    assert shares.argmin() == 2
    lines = told.out.splitlines()
    assert lines[0].startswith("bright ")
    assert "attention rollout through all 2 layers (joint)" in lines[1]
    assert (
        lines[2] == "most looked at: frame 1 of the clip (1.25 s), patch row 2, column 1 of 3 × 5"
    )
    assert lines[3].startswith("weight of each frame: ")
    assert lines[-1] == str(out)


def test_relevance_is_for_a_class(command, weights, video, tmp_path):
    arguments = "attention", video, f"--weights={weights('divided')}", "--at=1", "--json"
    arguments += ("--method=relevance",)
    told = command(*arguments, f"--out={tmp_path / 'bright.npz'}").json
    assert told["method"]["class"] == "bright"  # the predicted one
    dark = command(*arguments, f"--out={tmp_path / 'dark.npz'}", "--class=dark").json
    by_number = command(*arguments, f"--out={tmp_path / 'zero.npz'}", "--class=0").json
    assert dark["method"] == by_number["method"] == told["method"] | {"class": "dark"}
    assert dark["hottest"] == by_number["hottest"]
    with np.load(tmp_path / "bright.npz") as arrays:
        bright = arrays["maps"]
    with np.load(tmp_path / "dark.npz") as arrays:
        opposite = arrays["maps"]
    for frame, ((row, column), _) in planted.BRIGHT.items():
        assert np.unravel_index(bright[frame].argmax(), (ROWS, COLUMNS)) == (row, column)
        # What is bright speaks against it, and counts nothing.
        assert opposite[frame, row, column] < 0.1 * opposite[frame].max()


def test_raw_maps_of_a_step_are_of_a_patch_that_looks(command, weights, video, tmp_path):
    out = tmp_path / "time.npz"
    told = command(
        "attention", video, f"--weights={weights('divided')}", "--at=1", f"--out={out}", "--json",
        "--method=raw", "--layer=0", "--step=time", "--head=1", "--query=2,0,4",
    ).json  # fmt: skip
    assert told["method"] == {
        "name": "raw", "scheme": "divided", "layers": 2, "layer": 0, "step": "time", "head": 1,
        "query": [2, 0, 4],
    }  # fmt: skip
    with np.load(out) as arrays:
        looked = arrays["maps"]
    assert not np.delete(looked.reshape(FRAMES, -1), 4, axis=1).any()  # one position, in time
    assert looked[:, 0, 4].argmax() == 0  # when the marker was there
    assert looked.sum() == pytest.approx(1)


def test_everything_that_does_not_fit_is_told_at_once(command, weights, video, tmp_path):
    told = command(
        "attention", video, f"--weights={weights('divided')}", f"--out={tmp_path / 'a.png'}",
        "--method=raw", "--layer=2", "--step=joint", "--head=2", "--query=4,0,0", "--class=dark",
        "--at=9", code=2,
    )  # fmt: skip
    problems = told.err.removeprefix("vidtx: ").splitlines()
    assert [problem.split(" ")[0] for problem in problems] == [
        "--class", "query", "layer", "head", "step", "--at",
    ]  # fmt: skip
    assert "the video has 2.00" in problems[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--method=raw", "--step=time"], "treats patches alone"),
        (["--method=relevance", "--class=brigth"], "The classes are called bright"),
        (["--method=relevance", "--query=0,0,0"], "does not go with --method=relevance"),
        (["--layer=0"], "--layer belongs to --method=raw"),
        (["--out=maps.gif"], "not as .gif"),
        (["--query=1,2"], "must be FRAME,ROW,COLUMN"),
        (["--at=soon"], "must be a number"),
    ],
)
def test_wrong_use_is_told_with_its_cure(command, weights, video, tmp_path, options, says):
    out = (
        []
        if any(option.startswith("--out") for option in options)
        else [f"--out={tmp_path / 'maps.npz'}"]
    )
    told = command(
        "attention", video, f"--weights={weights('divided')}", *options, *out, code=2,
    )  # fmt: skip
    assert says in told.err


def cut_off():
    """The beginning of an AVI file, whose header tells of more frames than there are."""
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=planted.FPS)
        stream.height, stream.width = planted.clip().shape[1:3]
        stream.pix_fmt = "yuvj420p"
        for picture in planted.clip().repeat(4, axis=0):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    whole = buffer.getvalue()
    return whole[: len(whole) * 3 // 5]


def test_videos_that_are_none(command, weights, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(planted.video()[:300])
    arguments = f"--weights={weights('divided')}", f"--out={tmp_path / 'a.png'}"
    assert "broken.mp4" in command("attention", broken, *arguments, code=5).err
    assert "name one video file" in command("attention", tmp_path, *arguments, code=2).err
    part = tmp_path / "part.avi"
    part.write_bytes(cut_off())
    told = command("attention", part, *arguments[:1], f"--out={tmp_path / 'b.npz'}", code=5)
    assert "NOTE: The file" in told.err
    assert (tmp_path / "b.npz").exists()
    absent = tmp_path / "absent.mp4"
    assert "not there" in command("attention", absent, *arguments, code=2).err
    assert not (tmp_path / "a.png").exists()
