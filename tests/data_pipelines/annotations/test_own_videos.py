"""A person's own videos: folders of classes, and lists in every dialect of the field."""

import os

import pytest
from etils import epath

from data_pipelines.annotations import AnnotationError, Request, list_videos

# Of run/0.mp4 … run/39.mp4, those whose sha256sum begins below a fifth of its range.
HELD_OUT = [f"run/{number}.mp4" for number in (2, 7, 13, 17, 25, 28, 29, 35, 36)]
CLIPS = ["run/a.mp4", "run/deep/er/b.mkv", "jump/a.mp4", "jump/c.avi"]


def test_a_folder_is_a_class(listed, brief):
    extra = ["run/.hidden.mp4", ".cache/x/y.mp4", "__MACOSX/run/a.mp4", "run/a.txt", "stray.mp4",
             "run/b.gif", "run/c.GIF", "run/README"]  # fmt: skip
    listing = listed("folder", CLIPS + extra, None, name="mine", test_share=0.0)
    assert listing.name == "mine"
    assert listing.class_names == ("jump", "run")
    assert brief(listing) == {
        "train": [(clip, clip, 0 if clip.startswith("jump") else 1) for clip in sorted(CLIPS)]
    }
    assert listing.unlisted == ["stray.mp4"]
    note = "4 files among the videos are none by their suffix: .gif, .txt."
    assert note in listing.notes


def test_folders_of_splits_go_by_any_usual_name(listed, brief):
    clips = ["Training/run/a.mp4", "training/jump/b.mp4", "val/run/a.mp4", "testing/jump/a.mp4"]
    listing = listed("folder", clips, None)
    assert brief(listing) == {
        "train": [(clips[0], clips[0], 1), (clips[1], clips[1], 0)],
        "validation": [(clips[2], clips[2], 1)],
        "test": [(clips[3], clips[3], 0)],
    }
    assert "validation has no video of 1 classes: 'jump'." in listing.notes


def test_held_out_videos_are_the_same_on_every_machine(listed, brief):
    clips = [f"run/{number}.mp4" for number in range(40)]
    listing = listed("folder", clips, None, test_share=0.2)
    chosen = [entry.video_id for entry in listing.splits["test"]]
    assert chosen == sorted(HELD_OUT)
    assert len(listing.splits["train"]) == 31


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        (["train/run/a.mp4", "jump/a.mp4"], "the splits 'train' beside 'jump'"),
        (["train/a.mp4", "jump/a.mp4"], "If 'train' is a class, rename its folder, such as"),
        (["a.mp4", "b.mp4"], "holds 'a.mp4', 'b.mp4'; expected a folder for each class"),
        (["run/a.mp4", "jump/a.txt"], "folders without a video: 'jump'"),
        (["run/a.txt"], "holds no video, and 1 other files"),
    ],
)
def test_a_folder_laid_out_otherwise_is_refused(refused, clips, expected):
    assert expected in refused("folder", clips, None)


def test_a_class_list_gives_the_order_and_allows_empty_classes(tree, listed, refused):
    names = tree("", {"names.txt": "run\nswim\njump\n"}) / "names.txt"
    listing = listed("folder", [*CLIPS, "swim/readme.txt"], None, class_list=names)
    assert listing.class_names == ("run", "swim", "jump")
    labels = {entry.video_id: entry.label for s in listing.splits.values() for entry in s}
    assert labels["run/a.mp4"] == 0
    assert labels["jump/a.mp4"] == 2
    names = tree("", {"names.txt": "run\nrun\n"}) / "names.txt"
    assert "names.txt:2: got 'run'" in refused("folder", CLIPS, None, class_list=names)
    names = tree("", {"names.txt": "run\n"}) / "names.txt"
    assert "has folders 'jump'" in refused("folder", CLIPS, None, class_list=names)


@pytest.mark.parametrize(
    "built",
    [
        ["data/mine/1.0.0/dataset_info.json", "data/mine/1.0.0/manifest.json"],
        ["data/mine/1.0.0/.building/lock"],
        ["data/mine/1.0.0/mine-train.array_record-00000-of-00002"],
    ],
)
def test_data_sets_below_are_passed_over(tree, listed, refused, built):
    listing = listed("folder", [*CLIPS, *built], None, test_share=0.0)
    assert listing.class_names == ("jump", "run")
    assert listing.notes == ()
    tree("videos", ["data/other/notes.txt", "empty/notes.txt"])
    assert "folders without a video: 'empty'" in refused("folder", [], None)
    listing = listed("list", [], {"train.csv": "run/a.mp4 0\n"})
    assert len(listing.unlisted) == len(CLIPS) - 1


def test_relative_folders_are_the_same_wherever_a_process_works(tree, tmp_path, monkeypatch):
    tree("videos", ["run/a.mp4"])
    tree("beyond", ["b.mp4"])
    annotations = tree("lists", {"train.csv": f"{tmp_path}/videos/run/a.mp4 0\n../beyond/b.mp4 1"})
    monkeypatch.chdir(tmp_path)
    videos = epath.Path("videos")
    (entry,) = list_videos("folder", Request(videos, test_share=0.0)).splits["train"]
    assert entry.path == f"{tmp_path}/videos/run/a.mp4"
    first, second = list_videos("list", Request(videos, (annotations,))).splits["train"]
    assert (first.video_id, first.path) == ("run/a.mp4", f"{tmp_path}/videos/run/a.mp4")
    assert second.path == f"{tmp_path}/beyond/b.mp4"


def test_links_to_folders_are_followed_once(tree, tmp_path):
    tree("elsewhere", ["c.mp4"])
    root = tree("videos", ["run/a.mp4", "swim/b.mp4"])
    os.symlink(tmp_path / "elsewhere", tmp_path / "videos" / "climb")
    os.symlink(tmp_path / "videos", tmp_path / "videos" / "run" / "loop")
    os.symlink(tmp_path / "videos" / "swim", tmp_path / "videos" / "run" / "again")
    listing = list_videos("folder", Request(root, test_share=0.0))
    assert [(entry.video_id, entry.label) for entry in listing.splits["train"]] == [
        ("climb/c.mp4", 0),
        ("run/a.mp4", 1),
        ("swim/b.mp4", 2),
    ]


VIDEOS = ["a b/c.mp4", "d, e.mp4", "f.mp4"]


@pytest.mark.parametrize(
    "text",
    [
        "a b/c.mp4 0\nd, e.mp4 2\nf.mp4 1\n",
        "a b/c.mp4   0\nd, e.mp4\t2\n./f.mp4 1\n\n",
        "a b/c.mp4,0\nd, e.mp4,2\nf.mp4,1\n",
        'a b/c.mp4,0\n"d, e.mp4",2\nf.mp4, 1\n',
        "a b/c.mp4\t0\nd, e.mp4\t2\nf.mp4\t1\n",
        "a b/c.mp4;0\nd, e.mp4;2\nf.mp4;1\n",
        "a b/c.mp4::0\nd, e.mp4::2\nf.mp4::1\n",
        '"a b/c.mp4" 0\n"d, e.mp4" 2\n"f.mp4" 1\n',
        'path,label\na b/c.mp4,0\n"d, e.mp4",2\nf.mp4,1\n',
        "label;seconds;Video_Path\n0;7;a b/c.mp4\n2;7;d, e.mp4\n1;7;f.mp4\n",
        'video_id,label\na b/c.mp4,0\n"d, e.mp4",2\nf.mp4,1\n',
        "id\tname\tpath\tclass\n7\tx\ta b/c.mp4\t0\n8\ty\td, e.mp4\t2\n9\tz\tf.mp4\t1\n",
    ],
)
def test_every_dialect_says_the_same(listed, brief, text):
    listing = listed("list", VIDEOS, {"train.csv": text})
    assert listing.class_names == ("0", "1", "2")
    assert brief(listing) == {
        "train": [(VIDEOS[0], VIDEOS[0], 0), (VIDEOS[1], VIDEOS[1], 2), (VIDEOS[2], VIDEOS[2], 1)]
    }


@pytest.mark.parametrize("separator", [" ", ",", "\t", "::"])
def test_quotes_in_names_are_of_the_names(listed, separator):
    names = ['it\'s "q".mp4', '"a" b.mp4', '"a", "b".mp4', 'c"d.mp4']
    rows = [f"{name}{separator}{number}" for number, name in enumerate(names[:2])]
    # As a table quotes them.
    rows += [
        f'"{names[2]}"{separator}2'.replace('"a", "b"', '""a"", ""b""'),
        f"{names[3]}{separator}3",
    ]
    listing = listed("list", names, {"train.txt": "\n".join(rows)})
    assert [entry.video_id for entry in listing.splits["train"]] == names
    assert [entry.label for entry in listing.splits["train"]] == [0, 1, 2, 3]


def test_labels_may_be_names(listed, refused):
    text = 'a b/c.mp4,"salsa, slow"\nf.mp4,air drumming\n'
    listing = listed("list", VIDEOS, {"train.txt": text})
    assert listing.class_names == ("air drumming", "salsa, slow")
    assert [entry.label for entry in listing.splits["train"]] == [1, 0]
    message = refused("list", VIDEOS, {"train.txt": "f.mp4 run\na b/c.mp4 air drumming\n"})
    assert "train.txt:2: got 'a b/c.mp4 air drumming'" in message
    assert "a label of several words is separated by" in message


def test_names_of_files_tell_the_splits(listed, refused):
    files = {
        "ucf101_train_split_1_videos.txt": "f.mp4 0\n",
        "vallist01.txt": "a b/c.mp4 1\n",
        "classes.txt": "ignored, for it speaks of no split\n",
    }
    listing = listed("list", VIDEOS, files)
    assert {split: len(entries) for split, entries in listing.splits.items()} == {
        "train": 1,
        "validation": 1,
    }


def test_lists_that_do_not_say_their_split_are_refused(refused):
    message = refused("list", VIDEOS, {"one.txt": "f.mp4 0\n", "two.txt": "f.mp4 0\n"})
    assert "got 2 lists" in message
    assert "expected one of train, val and test in the name" in message


def test_a_single_nameless_list_is_divided_by_a_hash(listed):
    clips = [f"run/{number}.mp4" for number in range(40)]
    text = "".join(f"{clip} 0\n" for clip in clips)
    listing = listed("list", clips, {"all.txt": text}, test_share=0.2)
    chosen = [entry.video_id for entry in listing.splits["test"]]
    assert chosen == HELD_OUT


def test_whole_paths_are_taken_in_and_beyond_the_folder(tree, listed, brief, tmp_path):
    beyond = tree("beyond", ["g.mp4", "odd.video"])
    text = (
        f"{tmp_path}/videos/f.mp4 0\n{beyond}/g.mp4 1\n../beyond/odd.video 1\n"
        f"{beyond}/absent.mp4 -1\n"
    )
    listing = listed("list", VIDEOS, {"train.txt": text})
    found = brief(listing)["train"]
    assert found[0] == ("f.mp4", "f.mp4", 0)
    assert found[1] == (f"{beyond}/g.mp4", f"{beyond}/g.mp4", 1)
    assert found[2][0] == "../beyond/odd.video"
    assert os.path.samefile(tmp_path / "videos" / found[2][1], f"{beyond}/odd.video")
    assert found[3] == (f"{beyond}/absent.mp4", None, -1)
    assert listing.unlisted == VIDEOS[:2]


def test_a_class_list_names_numbers(tree, listed, refused):
    names = tree("", {"names.txt": "run\njump\n"}) / "names.txt"
    listing = listed("list", VIDEOS, {"train.txt": "f.mp4 jump\na b/c.mp4 0\n"}, class_list=names)
    assert [entry.label for entry in listing.splits["train"]] == [1, 0]
    message = refused("list", VIDEOS, {"train.txt": "f.mp4 2\n"}, class_list=names)
    assert "train.txt:1: got label '2'; expected one of the 2 names" in message


def test_labels_that_count_from_one_are_remarked_on(listed):
    listing = listed("list", VIDEOS, {"train.txt": "f.mp4 1\n"})
    assert any("Labels that count from 1 leave class 0" in note for note in listing.notes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f.mp4 0\nc.mp4 run\nd.mp4 1\n", "train.csv:2: got label 'run'; expected a whole number"),
        ("f.mp4 0\nf.mp4 1\n", "train.csv:2: got 'f.mp4' in split train with '1'"),
        ("f.mp4 0\njust_a_path.mp4\n", "train.csv:2: got 'just_a_path.mp4'; expected `path label`"),
        ("brush/x_0 120 3\nf/y 80 2\n", "train.csv:1: got 'brush/x_0 120 3', more than one number"),
        ("f.mp4 120 3\nf.mp4 80 2\n", "lists of frames or of several labels are not read"),
        ("f.mp4 999999999\n", "expected a class's number in 0 … 99999"),
        ("f.mp4 -1\n", "every label is -1"),
        ("path,label\n", "names its columns and nothing else"),
        ("", "train.csv is empty"),
        (
            "label,youtube_id,time_start,time_end,split\na,b,1,2,train\n",
            "official Kinetics annotations, which are built as kinetics400",
        ),
        ("video_id,task_id,rank,category_1\na,1,1,b\n", "which are built as howto100m"),
    ],
)
def test_what_is_no_list_of_paths_and_labels_is_told(refused, text, expected):
    assert expected in refused("list", VIDEOS, {"train.csv": text})


def test_a_folder_of_videos_takes_no_annotations(refused):
    assert "expected none for a folder" in refused("folder", CLIPS, {"train.csv": "a 1\n"})


def test_a_list_of_other_videos_shows_both_sides(refused):
    message = refused("list", VIDEOS, {"train.csv": "x/g.mp4 0\nx/h.mp4 1\n"})
    assert "none of the 2 listed videos is in" in message
    assert "looked for 'x/g.mp4', 'x/h.mp4', and it holds 'a b/c.mp4', " in message


def test_a_list_is_needed(tree):
    with pytest.raises(AnnotationError, match="no annotations are given"):
        list_videos("list", Request(epath.Path(tree("videos", VIDEOS))))
