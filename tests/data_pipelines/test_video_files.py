"""Which files a person means, and in which order."""

import os

import pytest

from data_pipelines.errors import DatasetMissingError
from data_pipelines.video_files import list_video_files, printable


@pytest.fixture
def tree(tmp_path):
    names = ("clip10.mp4", "clip9.mp4", "Clip1.MOV", "notes.txt", ".hidden.mp4", "sub/a.webm",
             "sub/.cache/b.mp4", "__MACOSX/c.mp4", "odd[1].mp4")  # fmt: skip
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"x")
    return tmp_path


def names(found, tree):
    return [os.path.relpath(path, tree) for path in found.files]


def test_a_folder_is_its_videos_in_natural_order(tree):
    found = list_video_files([tree])
    assert names(found, tree) == [
        "Clip1.MOV",
        "clip9.mp4",
        "clip10.mp4",
        "odd[1].mp4",
        "sub/a.webm",
    ]
    assert found.passed_over == 1


def test_a_file_is_taken_once_and_whatever_it_is_called(tree):
    os.symlink(tree / "clip9.mp4", tree / "link.mp4")
    os.symlink(tree, tree / "sub" / "loop")
    found = list_video_files([tree / "notes.txt", tree / "clip9.mp4", tree, tree / "odd[1].mp4"])
    assert names(found, tree) == [
        "notes.txt", "clip9.mp4", "Clip1.MOV", "clip10.mp4", "odd[1].mp4", "sub/a.webm"
    ]  # fmt: skip


def test_patterns(tree):
    assert names(list_video_files([f"{tree}/clip*"]), tree) == ["clip9.mp4", "clip10.mp4"]
    found = list_video_files([f"{tree}/**/*.webm"])
    assert names(found, tree) == ["sub/a.webm"]
    assert list_video_files([f"{tree}/*.*"]).passed_over == 1


def test_a_name_of_nothing_beside_others_is_kept_to_be_told_of(tree):
    found = list_video_files([tree / "clip9.mp4", tree / "gone.mp4"])
    assert names(found, tree) == ["clip9.mp4", "gone.mp4"]
    assert not found.missing


def test_what_stands_for_no_video_beside_others_that_do_is_told(tree):
    (tree / "empty").mkdir()
    named = [tree / "clip9.mp4", f"{tree}/*.mkv", f"{tree}/b[1].mp4", tree / "empty"]
    found = list_video_files([*named, f"{tree}/*.txt", tree / "odd[1].mp4"])
    assert names(found, tree) == ["clip9.mp4", "odd[1].mp4"]
    assert [line.removeprefix(f"{tree}/").partition(" (")[0] for line in found.missing] == [
        "*.mkv: no file matches",
        "b[1].mp4: no file matches",
        "empty: a folder with no files",
        "*.txt: matches 1 files, none of them a video by its suffix",
    ]


def test_names_of_any_bytes_can_be_written():
    assert printable(os.fsdecode(b"caf\xe9.mp4")) == "caf\\udce9.mp4"
    assert printable("café ✓.mp4") == "café ✓.mp4"


def test_nothing_at_all_tells_everything_that_was_looked_for(tree):
    empty = tree / "empty"
    empty.mkdir()
    with pytest.raises(DatasetMissingError) as raised:
        list_video_files([tree / "gone.mp4", empty, f"{tree}/*.mkv"])
    for said in ("gone.mp4: there is no such file", "a folder with no files", "no file matches"):
        assert said in str(raised.value)
    with pytest.raises(DatasetMissingError, match="bucket"):
        list_video_files(["gs://bucket/clip.mp4"])
