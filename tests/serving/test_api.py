"""The JSON endpoint of a running server: answers, limits, who may ask, what is left behind."""

import concurrent.futures
import contextlib
import io
import json
import os
import signal
import time

import av
import numpy as np
import pytest

import vidtx

from .conftest import NAMES
from .served import ask, begin, children, files, is_there, read, serving

PREDICT = "/api/predict"


def test_an_answer_has_classes_views_a_timeline_and_pictures(server, video):
    got = ask(server, "POST", f"{PREDICT}?name=my%20clip.mp4", video)
    assert got.status == 200, got.body
    answer = got.body
    assert answer["video"] == "my clip.mp4"
    assert (answer["num_frames"], answer["fps"], answer["seconds"]) == (60, 10.0, 6.0)
    assert (answer["height"], answer["width"]) == (64, 96)
    top = [score["probability"] for score in answer["top"]]
    assert len(top) == 5
    assert top == sorted(top, reverse=True)
    assert all(score["name"] == NAMES[score["index"]] for score in answer["top"])
    timeline = answer["timeline"]
    assert timeline["starts"][0] == 0
    assert all(
        len(each["probabilities"]) == len(timeline["starts"]) for each in timeline["classes"]
    )
    attention = answer["attention"]
    assert len(attention["times"]) == len(attention["weights"]) == 4
    assert sum(attention["weights"]) == pytest.approx(1, abs=1e-3)
    for url in (attention["url"], attention["clip_url"]):
        film = ask(server, "GET", url)
        assert (film.status, film.headers["content-type"]) == (200, "video/mp4")
        assert pictures_of(film.body) == 4
        part = ask(server, "GET", url, headers={"Range": "bytes=4-7"})
        assert (part.status, part.body) == (206, b"ftyp")
        assert part.headers["content-range"] == f"bytes 4-7/{len(film.body)}"
        assert part.headers["cache-control"] == "no-store"


def answer_of(server, video, query=""):
    got = ask(server, "POST", f"{PREDICT}?attention=0{query}", video)
    assert got.status == 200, got.body
    return got.body


def test_it_answers_as_the_same_weights_do_in_python(server, video, weights, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(video)
    (wanted,) = vidtx.predict(path, weights)
    answer = answer_of(server, video)
    np.testing.assert_allclose(answer["probabilities"], wanted.probabilities, atol=1e-5)
    assert answer["attention"] is None


def test_lines_of_progress_come_before_the_answer(server, video):
    headers = {"Accept": "application/x-ndjson"}
    got = ask(server, "POST", PREDICT, video, headers)
    *steps, last = [json.loads(line) for line in got.body.splitlines()]
    stages = [step["progress"]["stage"] for step in steps]
    assert list(dict.fromkeys(stages)) == [
        "waiting",
        "reading",
        "predicting",
        "timeline",
        "attention",
    ]
    far = [
        step["progress"]
        for step in steps
        if step["progress"]["total"] and step["progress"]["stage"] == "timeline"
    ]
    assert far
    assert all(0 < each["done"] <= each["total"] for each in far)
    assert last["answer"]["top"]
    *_, last = [
        json.loads(line) for line in ask(server, "POST", PREDICT, b"no", headers).body.splitlines()
    ]
    assert (last["status"], last["error"]["kind"]) == (415, "undecodable")


def test_what_it_is_and_takes_can_be_asked(server):
    assert ask(server, "GET", "/healthz").body == {"status": "ok"}
    told = ask(server, "GET", "/api/model").body
    assert told["class_names"] == NAMES
    assert told["preprocessing"]["clips"]["stride"] == 2
    assert told["limits"] == {
        "max_bytes": 2_000_000,
        "max_seconds": 20.0,
        "timeout": 60.0,
        "queue": 1,
    }
    assert told == server.told["model"] | {"limits": told["limits"]}


def test_what_is_no_video_is_refused_in_the_readers_words(server, make_frames, write_video):
    got = ask(server, "POST", f"{PREDICT}?name=notes.txt", b"dear diary")
    assert (got.status, got.body["error"]["kind"]) == (415, "undecodable")
    assert got.body["error"]["message"].startswith("notes.txt: it cannot be opened as video")
    got = ask(server, "POST", PREDICT, sound())
    assert (got.status, got.body["error"]["kind"]) == (415, "no_video_stream")
    long = write_video(make_frames(1, 16, 16), times=[0])
    assert ask(server, "POST", PREDICT, long[: len(long) // 2]).status == 415
    still = make_frames(2, 16, 16)
    long = write_video(still, times=[0, 30 * 21])
    got = ask(server, "POST", PREDICT, long)
    assert (got.status, got.body["error"]["kind"]) == (413, "too_long")
    assert "at most 20" in got.body["error"]["message"]
    form = ask(server, "POST", PREDICT, b"--x", {"Content-Type": "multipart/form-data; boundary=x"})
    assert (form.status, form.body["error"]["kind"]) == (415, "multipart")
    assert ask(server, "POST", PREDICT, b"").status == 400


def test_a_playlist_names_no_other_file(server, video, tmp_path):
    path = tmp_path / "secret.mp4"
    path.write_bytes(video)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{path.as_uri()}\n#EXT-X-ENDLIST\n"
    assert ask(server, "POST", PREDICT, playlist.encode()).status in (415, 422)
    got = ask(server, "POST", PREDICT, f"ffconcat version 1.0\nfile '{path}'\n".encode())
    assert got.status in (415, 422)


def test_too_large_is_refused_before_it_is_read(server):
    with contextlib.closing(begin(server, PREDICT, {"Content-Length": 10**12})) as connection:
        got = read(connection)  # of which no byte was sent
    assert (got.status, got.body["error"]["kind"]) == (413, "too_large")
    with contextlib.closing(begin(server, PREDICT, {"Transfer-Encoding": "chunked"})) as connection:
        for _ in range(21):
            connection.send(b"%x\r\n%s\r\n" % (100_000, bytes(100_000)))
        got = read(connection)  # the body has not ended
    assert (got.status, got.body["error"]["kind"]) == (413, "too_large")
    assert "--max_mb" in got.body["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_pages_may_not_ask(server, headers, status):
    got = ask(server, "POST", PREDICT, b"x", headers)
    assert got.status == status
    assert got.body["error"]["message"]


def test_a_page_of_its_own_may_ask(server):
    for host in ("127.0.0.1", "localhost", "[::1]"):
        own = f"{host}:{server.port}"
        headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
        assert ask(server, "POST", PREDICT, b"x", headers).status == 415
    assert ask(server, "GET", "/", headers={"Sec-Fetch-Site": "cross-site"}).status == 200
    assert ask(server, "GET", "/api/model", headers={"Sec-Fetch-Site": "cross-site"}).status == 403


def test_no_answer_may_be_embedded_sniffed_or_kept(server):
    for path in ("/", "/api/model", "/nowhere", "/api/attention/none.mp4"):
        headers = ask(server, "GET", path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/api/attention/..%2f..%2fuploads.mp4",
        "/api/attention/../../etc/passwd",
        "/api/attention/%2e%2e/clip.mp4",
        "/api/attention/.mp4",
        "/page.js",
        "/..%2f..%2fetc/passwd",
    ],
)
def test_there_are_no_other_files(server, path):
    got = ask(server, "GET", path)
    assert (got.status, got.body["error"]["kind"]) == (404, "not_found")


def test_names_are_shown_without_folders_and_what_cannot_be_seen(server, video):
    answer = answer_of(server, video, "&name=..%2F..%5C%00%3Cb%3E%E2%80%AEx.mp4")
    assert answer["video"] == "<b>x.mp4"


def test_videos_beyond_the_queue_are_refused_and_a_broken_upload_gives_its_place_back(
    server, video
):
    half = {"Content-Length": len(video)}
    open_ones = [begin(server, PREDICT, half) for _ in range(2)]
    for connection in open_ones:
        connection.send(video[:1000])
    wait_until(lambda: len(uploads(server)) == 2)
    got = ask(server, "POST", PREDICT, video)
    assert (got.status, got.body["error"]["kind"]) == (503, "busy")
    assert int(got.headers["retry-after"]) > 0
    open_ones[0].close()
    wait_until(lambda: len(uploads(server)) == 1)
    assert ask(server, "POST", PREDICT, video).status == 200
    open_ones[1].send(video[1000:])
    assert read(open_ones[1]).status == 200
    open_ones[1].close()
    wait_until(lambda: not uploads(server))


def test_a_process_that_is_killed_is_replaced_and_who_left_is_forgotten(server, video):
    """One that hangs, until its parent ends it, is no other thing: SIGSTOP stands for it."""
    (child,) = children(server.process)
    os.kill(child, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(ask, server, "POST", PREDICT, video)
        wait_until(lambda: len(uploads(server)) == 1)
        gone = begin(server, PREDICT, {"Content-Length": len(video)})
        gone.send(video)
        wait_until(lambda: len(uploads(server)) == 2)
        assert ask(server, "POST", PREDICT, video).status == 503
        gone.close()  # it has waited for its turn
        wait_until(lambda: len(uploads(server)) == 1)
        lines = {"Accept": "application/x-ndjson"}
        next_one = pool.submit(ask, server, "POST", PREDICT, video, lines)
        wait_until(lambda: len(uploads(server)) == 2)
        time.sleep(0.2)  # for it to be queued, now that it is sent
        os.kill(child, signal.SIGKILL)
        got = first.result()
    waited, *_, last = [json.loads(line) for line in next_one.result().body.splitlines()]
    assert waited == {"progress": {"stage": "waiting", "done": 0, "total": 1}}
    assert last["answer"]["top"]
    assert (got.status, got.body["error"]["kind"]) == (422, "crashed")
    assert ask(server, "POST", PREDICT, video).status == 200  # it waits for the new one
    assert ask(server, "GET", "/healthz").status == 200
    assert children(server.process) != [child]
    assert not is_there(child)
    assert not uploads(server)


def test_a_clean_stop_is_success_and_leaves_nothing(weights, video, tmp_path):
    options = ("--timeout=0.01", "--host=0.0.0.0")
    with serving(weights, tmp_path, *options) as server:
        assert "no authentication" in server.log.read_text()
        (child,) = children(server.process)
        got = ask(server, "POST", PREDICT, video)
        assert (got.status, got.body["error"]["kind"]) == (504, "timed_out")
        assert "--timeout" in got.body["error"]["message"]
        assert not is_there(child)
        server.process.send_signal(signal.SIGINT)  # while the model is being loaded again
        assert server.process.wait(60) == 0
        assert files(server.temporary) == []
        assert "Traceback" not in server.log.read_text()


def uploads(server):
    return [path for path in files(server.temporary) if path.parent.name == "uploads"]


def wait_until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def pictures_of(film):
    with av.open(io.BytesIO(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def sound():
    """A media file with a second of silence alone."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
