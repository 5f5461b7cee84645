import cv2
import numpy as np
import pytest

from data_pipelines import encode, errors
from data_pipelines.decoding import decode
from data_pipelines.pictures import pictures


@pytest.fixture(scope="module")
def frames(make_frames):
    return make_frames(9, 40, 56)


@pytest.fixture(scope="module")
def jpegs(frames):
    """One JPEG a frame, as a build would store them."""
    return [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]


def test_a_video_s_pictures_are_those_of_its_decoder(frames):
    video = encode.encode_mp4(frames, fps=16, options=encode.INTRA)
    found = pictures({"video": video}, [5, 0, 5])
    np.testing.assert_array_equal(found, decode.decode_frames(video, [5, 0, 5]))


def test_jpegs_come_in_the_order_asked_for_as_rgb(frames, jpegs):
    found = pictures({"frames": jpegs}, np.array([8, 2, 2, 0]))
    assert found.shape == (4, 40, 56, 3)
    assert found.dtype == np.uint8
    # Close to what was stored, and far from other frames and from other orders of channels.
    wanted = frames[[8, 2, 2, 0]].astype(int)
    assert np.abs(found - wanted).mean() < 12
    assert np.abs(found[..., ::-1] - wanted).mean() > 40
    np.testing.assert_array_equal(found[1], found[2])


def test_stored_arrays_of_bytes_will_do_as_well(jpegs):
    stored = np.array(jpegs, object)
    np.testing.assert_array_equal(
        pictures({"frames": stored}, [3]), pictures({"frames": jpegs}, [3])
    )


@pytest.mark.parametrize("kind", ["video", "frames"])
def test_frames_that_are_not_there_are_refused(frames, jpegs, kind):
    record = {"frames": jpegs}
    if kind == "video":
        record = {"video": encode.encode_mp4(frames, fps=16, options=encode.INTRA)}
    with pytest.raises(errors.TooFewFramesError, match="9"):
        pictures(record, [0, 9])
    for wrong in ([], [-1], [3, -1]):
        with pytest.raises(ValueError, match="indices"):
            pictures(record, wrong)


@pytest.mark.parametrize("bad", [b"", b"no picture", b"\xff\xd8\xff"])
def test_bytes_that_are_no_picture_are_refused_if_they_are_needed(jpegs, bad):
    stored = [*jpegs[:4], bad, *jpegs[5:]]
    with pytest.raises(errors.UndecodableError, match="frame 4 "):
        pictures({"frames": stored}, [3, 4])
    np.testing.assert_array_equal(
        pictures({"frames": stored}, [3]), pictures({"frames": jpegs}, [3])
    )


def test_a_picture_that_breaks_off_is_refused_where_damage_is(jpegs):
    stored = [jpegs[0], jpegs[1][: len(jpegs[1]) // 2]]
    with pytest.raises(errors.UndecodableError, match=r"frame 1.*breaks off"):
        pictures({"frames": stored}, [1], strict=True)
    assert len(pictures({"frames": jpegs}, range(9), strict=True)) == 9


def test_pictures_of_several_sizes_are_refused(jpegs, make_frames):
    other = cv2.imencode(".jpg", make_frames(1, 24, 24)[0])[1].tobytes()
    with pytest.raises(errors.UndecodableError, match="differ in size"):
        pictures({"frames": [jpegs[0], other]}, [0, 1])
