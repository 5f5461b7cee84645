"""HowTo100M: tasks as classes, splits by hash or by files, captions streamed."""

import json
import pickle
import tracemalloc

import pytest
from etils import epath

from data_pipelines.annotations import AnnotationError, Caption, captions

HEADER = "video_id,task_id,rank,category_1,category_2\n"
ROWS = HEADER + (
    "nVbIUDjzWY4,90,5,Cars & Other Vehicles,Motorcycles\n"
    "-abcdefghij,8,1,Hobbies and Crafts,\n"
    "shared_vide,90,2,,\n"
    "shared_vide,8,1,,\n"
    "lonely_vide,700,1,,\n"
)
CAPTIONS = {
    "zzz_not_listed": {"text": [], "start": [], "end": []},
    "nVbIUDjzWY4": {"text": ["open hood", "a ünï"], "start": [0, 2.5], "end": [2.5, 2]},
}


def test_a_class_is_a_task_and_a_video_is_of_the_task_that_ranks_it_best(listed, brief):
    videos = ["a/b/nVbIUDjzWY4.webm", "-abcdefghij.mp4", "lonely_vide.mkv", "other.mp4"]
    files = {
        "HowTo100M_v1.csv": ROWS,
        "task_ids.csv": "8,Knit, Purl and Bind\n90,Fix a Car\n700,Fix a Car\n",
    }
    listing = listed("howto100m", videos, files, test_share=0.0)
    assert listing.class_names == ("Knit, Purl and Bind", "Fix a Car (90)", "Fix a Car (700)")
    assert brief(listing) == {
        "train": [
            ("nVbIUDjzWY4", videos[0], 1),
            ("-abcdefghij", videos[1], 0),
            ("shared_vide", None, 0),
            ("lonely_vide", videos[2], 2),
        ]
    }
    assert listing.captions is None
    assert listing.unlisted == ["other.mp4"]
    assert "1 rows name a video again; each is of its best rank's task." in listing.notes


def test_small_tasks_are_left_out_with_their_videos(listed, refused):
    videos = ["-abcdefghij.mp4", "lonely_vide.mkv"]
    listing = listed("howto100m", videos, {"HowTo100M_v1.csv": ROWS}, min_videos=2, test_share=0.0)
    assert listing.class_names == ("8",)
    assert [entry.video_id for entry in listing.splits["train"]] == ["-abcdefghij", "shared_vide"]
    assert listing.unlisted == []
    message = refused("howto100m", videos, {"HowTo100M_v1.csv": ROWS}, min_videos=3)
    assert "no task has 3 videos; the largest" in message


def test_the_held_out_share_depends_on_each_id_alone(listed):
    ids = [f"video{i:06d}" for i in range(400)]

    def held_out(ids):
        rows = HEADER + "".join(f"{video_id},1,1,,\n" for video_id in ids)
        videos = {f"{ids[0]}.mp4": ""}
        listing = listed("howto100m", videos, {"HowTo100M_v1.csv": rows}, test_share=0.25)
        return {entry.video_id for entry in listing.splits["test"]}

    chosen = held_out(ids)
    assert 60 < len(chosen) < 140
    assert held_out(ids[::-1][:200]) == chosen.intersection(ids[200:])


def test_files_of_ids_are_the_splits(listed, refused, brief):
    files = {
        "HowTo100M_v1.csv": ROWS,
        "train_ids.txt": "nVbIUDjzWY4\n-abcdefghij.mp4\n",
        "test_ids.txt": "video_id\nshared_vide\n",
    }
    listing = listed("howto100m", ["-abcdefghij.mp4"], files)
    assert [entry.video_id for entry in listing.splits["train"]] == ["nVbIUDjzWY4", "-abcdefghij"]
    assert [entry.video_id for entry in listing.splits["test"]] == ["shared_vide"]
    files["test_ids.txt"] = "unknown\nnVbIUDjzWY4\n"
    message = refused("howto100m", ["-abcdefghij.mp4"], files)
    assert "test_ids.txt:1: got 'unknown'; expected a video id that HowTo100M_v1.csv" in message
    assert "test_ids.txt:2: got 'nVbIUDjzWY4' in split test" in message


def test_bad_rows(refused):
    message = refused("howto100m", ["a.mp4"], {"HowTo100M_v1.csv": HEADER + "a,b,1,,\nc d,1,1,,\n"})
    assert "HowTo100M_v1.csv:2: got task_id 'b' of a; expected a whole number" in message
    assert "HowTo100M_v1.csv:3: got video_id 'c d'; expected a YouTube id" in message


@pytest.mark.parametrize("name", ["caption.json", "raw_caption.json"])
def test_captions_are_read_anew_at_each_call_and_in_other_processes(listed, name):
    files = {"HowTo100M_v1.csv": ROWS, name: json.dumps(CAPTIONS)}
    listing = listed("howto100m", ["-abcdefghij.mp4"], files)
    expected = [
        ("zzz_not_listed", []),
        ("nVbIUDjzWY4", [Caption(0.0, 2.5, "open hood"), Caption(2.5, 2.5, "a ünï")]),
    ]
    assert list(listing.captions()) == expected
    assert list(pickle.loads(pickle.dumps(listing.captions))()) == expected
    assert name in listing.annotations


def test_a_caption_without_words_is_left_out(tmp_path):
    path = epath.Path(tmp_path / "caption.json")
    path.write_text('{"a": {"text": [NaN, "b", ""], "start": [0, 1, 2], "end": [1, 2, 3]}}')
    assert list(captions.read_captions(path)) == [("a", [Caption(1.0, 2.0, "b")])]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a":\n{"text": ["b"], "start": [0]}}', "caption.json:1: captions of 'a': got"),
        ('{"a": {"text": ["b"], "start": [0], "end": []}}', "1 text, 1 start, 0 end; expected as"),
        ('{"a": {"text": ["b"], "start": [0], "end": [NaN]}}', "expected numbers of seconds"),
        ("[]", "caption.json:1: got '[]'; expected an object"),
    ],
)
def test_bad_captions_name_their_line(tmp_path, content, expected):
    path = epath.Path(tmp_path / "caption.json")
    path.write_text(content)
    with pytest.raises(AnnotationError) as caught:
        list(captions.read_captions(path))
    assert expected in str(caught.value)


def test_captions_of_any_size_need_little_memory(tmp_path):
    path = epath.Path(tmp_path / "caption.json")
    words = ["word " * 20] * 40
    entry = json.dumps({"text": words, "start": [0.5] * 40, "end": [1.5] * 40})
    with path.open("w") as file:
        file.write("{" + ",\n".join(f'"video{i:06d}": {entry}' for i in range(1500)) + "}")
    size = path.stat().length
    assert size > 6e6
    tracemalloc.start()
    count = sum(1 for _ in captions.read_captions(path, chunk=1 << 14))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1500
    assert peak < size / 20
