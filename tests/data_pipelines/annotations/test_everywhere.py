"""What holds of every kind: names, absent files, wrong folders, and the same result everywhere."""

import errno
import os
import pathlib
import subprocess
import sys

import pytest
from etils import epath
from etils.epath import backend
from fsspec.implementations import memory
from tensorflow_datasets.core import naming

from data_pipelines import errors
from data_pipelines.annotations import DATASETS, AnnotationError, Request, list_videos
from data_pipelines.annotations.problems import readable

ROWS = "label,youtube_id,time_start,time_end,split\n" + "".join(
    f"class {i % 7},video{i:06d},1,11,train\n" for i in range(50)
)


def refuse(kind, request, name=None):
    with pytest.raises(AnnotationError) as caught:
        list_videos(kind, request, name)
    return str(caught.value)


def test_the_kinds_have_names_that_tfds_takes_and_say_what_they_need():
    assert {"kinetics400", "kinetics600", "kinetics700", "ucf101", "list"} <= DATASETS.keys()
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert naming.is_valid_dataset_name(name)
        assert naming.camelcase_to_snakecase(naming.snake_to_camelcase(name)) == name
        assert dataset.summary
        assert dataset.annotations
    assert issubclass(AnnotationError, errors.DataError)


def test_an_unknown_kind_or_name_is_refused(tree):
    request = Request(tree("videos", ["run/a.mp4"]))
    assert "'kinetics401'; expected one of ['diving48'," in refuse("kinetics401", request)
    assert "got the name 'My Videos'" in refuse("folder", request, "My Videos")


def test_a_choice_that_a_kind_does_not_have_is_refused(tree):
    videos = tree("videos", ["run/a.mp4"])
    message = refuse("ucf101", Request(videos, min_videos=3))
    assert message == "--min_videos=3 is no choice that ucf101 has; it has only fold."


def test_impossible_choices_are_told_together():
    with pytest.raises(ValueError, match=r"(?s)fold is 4.*min_videos is 0.*test_share is 1\.5"):
        Request(epath.Path("videos"), fold=4, min_videos=0, test_share=1.5)


@pytest.mark.parametrize("kind", sorted(set(DATASETS) - {"folder"}))
def test_absent_annotations_say_what_is_expected(tree, kind):
    videos = tree("videos", ["a.mp4"])
    expected = DATASETS[kind].annotations
    assert expected in refuse(kind, Request(videos))
    missing = epath.Path(videos.parent / "absent.csv")
    message = refuse(kind, Request(videos, (missing,)))
    assert f"there are no annotations {os.fspath(missing)}" in message
    assert expected in message
    other = tree("annotations", {"README.md": "hello"})
    assert f"holds 'README.md'; expected {expected}" in refuse(kind, Request(videos, (other,)))
    file = other / "README.md"
    assert "README.md has a name that says nothing" in refuse(kind, Request(videos, (file,)))


@pytest.mark.parametrize("kind", sorted(DATASETS))
def test_an_absent_folder_of_videos_is_told(tree, kind):
    root = tree("", {"file.txt": "x"})
    assert "absent does not exist; --videos must" in refuse(kind, Request(root / "absent"))
    assert "is a file, not a folder" in refuse(kind, Request(root / "file.txt"))


def test_videos_and_annotations_may_lie_in_a_bucket(monkeypatch):
    class Bucket(memory.MemoryFileSystem):
        """A bucket's manners on a file system in memory: what it lists has no scheme."""

        store = {}  # noqa: RUF012
        pseudo_dirs = [""]  # noqa: RUF012

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.removeprefix("gs://"))

    bucket = Bucket(skip_instance_cache=True)
    monkeypatch.setattr(backend.fsspec_backend, "_get_filesystem", lambda protocol: bucket)
    clips = ["run/a.mp4", "run/deep/b.mkv", "jump/c.mp4"]
    built = ["data/mine/1.0.0/dataset_info.json", "data/other/1.0.0/.building/plan.json"]
    for name in [*clips, *built, "run/.x.mp4", ".cache/run/y.mp4", "notes.txt"]:
        bucket.pipe(f"gs://bucket/videos/{name}", b"")
    bucket.pipe("gs://bucket/train.csv", b"run/a.mp4 0\nabsent.mp4 1\n")
    videos = epath.Path("gs://bucket/videos")
    listing = list_videos("folder", Request(videos, test_share=0.0))
    assert [entry.video_id for entry in listing.splits["train"]] == sorted(clips)
    assert listing.splits["train"][0].path == "gs://bucket/videos/jump/c.mp4"
    listing = list_videos("list", Request(videos, (epath.Path("gs://bucket/train.csv"),)))
    paths = [entry.path for entry in listing.splits["train"]]
    assert paths == ["gs://bucket/videos/run/a.mp4", None]


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("diving48", "Diving48_vocab.json"),
        ("kinetics400", "train.csv"),
        ("list", "train.csv"),
    ],
)
def test_annotations_that_cannot_be_read_are_told(tree, kind, file):
    """A folder in the place of a file is one that not even root can read."""
    (tree("annotations", []) / "found" / file).mkdir(parents=True)
    others = {"Diving48_V2_train.json": "[]", "Diving48_V2_test.json": "[]"}
    files = tree("annotations/found", others if kind == "diving48" else [])
    message = refuse(kind, Request(tree("videos", ["a.mp4"]), (files,)))
    assert message == f"{files / file} cannot be read (Is a directory); name a file that can be."


def test_a_refused_permission_says_what_to_mend():
    expected = r"^a\.json cannot be read \(Permission denied\); mend its permissions\.$"
    with pytest.raises(AnnotationError, match=expected), readable("a.json"):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_folder_with_none_of_the_listed_videos_shows_both_sides(tree):
    files = tree("annotations", {"train.csv": ROWS})
    videos = tree("videos", ["clip_1.mp4", "clip_2.mp4", "clip_3.mp4", "clip_4.mp4"])
    message = refuse("kinetics400", Request(videos, (files,)))
    assert "none of the 50 listed videos is in" in message
    assert "looked for 'video000000_000001_000011', 'video000001_000001_000011', 'vid" in message
    assert "it holds 'clip_1.mp4', 'clip_2.mp4', 'clip_3.mp4' and 1 more" in message
    empty = tree("empty", ["archive.tar"])
    message = refuse("kinetics400", Request(empty, (files,)))
    assert "it holds no video file, and 1 others" in message


def test_the_hash_seed_of_python_changes_nothing(tree):
    names = [f"video{i:06d}_000001_000011.{suffix}" for i in range(50) for suffix in ("mp4", "avi")]
    request = Request(tree("videos", names), (tree("annotations", {"train.csv": ROWS}),))
    script = (
        "import sys\nfrom etils import epath\n"
        "from data_pipelines.annotations import Request, list_videos\n"
        "videos, files = map(epath.Path, sys.argv[1:])\n"
        "print(list_videos('kinetics400', Request(videos, (files,))))\n"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            os.fspath(request.videos),
            os.fspath(request.annotations[0]),
        ],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=pathlib.Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    listing = list_videos("kinetics400", request)
    assert listing.class_names == tuple(f"class {i}" for i in range(7))
    assert other.stdout == f"{listing}\n"
