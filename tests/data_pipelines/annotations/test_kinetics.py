"""Kinetics' CSV files, and the many ways in which its videos are named and laid out."""

import hashlib

import pytest

from data_pipelines.annotations import Request, list_videos

HEADER = "label,youtube_id,time_start,time_end,split\n"
TRAIN = (
    "label,youtube_id,time_start,time_end,split,is_cc\n"
    'zumba,---QUuC4vJs,84,94,train,0\n"air drumming",a_b-c_d_e_f,0,10,train,0\n'
    '"waiting in line",_0987654321,7,17,train,0\n'
)
VAL = HEADER + '"air drumming",valvideo001,100,110,val\n'
TEST = "youtube_id,time_start,time_end,split\ntestvideo01,1,11,test\n"  # no column of labels


def test_official_files_are_read_as_published(listed, brief):
    listing = listed(
        "kinetics400",
        ["---QUuC4vJs_000084_000094.mp4", "a_b-c_d_e_f_000000_000010.mkv", "stray.mp4", "notes.md"],
        {"train.csv": TRAIN, "val.csv": VAL, "test.csv": TEST, "k400_train_path.txt": "http://x\n"},
    )
    assert listing.name == "kinetics400"
    assert listing.class_names == ("air drumming", "waiting in line", "zumba")
    assert brief(listing) == {
        "train": [
            ("---QUuC4vJs_000084_000094", "---QUuC4vJs_000084_000094.mp4", 2),
            ("a_b-c_d_e_f_000000_000010", "a_b-c_d_e_f_000000_000010.mkv", 0),
            ("_0987654321_000007_000017", None, 1),
        ],
        "validation": [("valvideo001_000100_000110", None, 0)],
        "test": [("testvideo01_000001_000011", None, -1)],
    }
    assert listing.mirrorable
    assert listing.unlisted == ["stray.mp4"]
    digest = hashlib.sha256(TRAIN.encode()).hexdigest()
    assert listing.annotations["train.csv"] == digest
    assert set(listing.annotations) == {"train.csv", "val.csv", "test.csv"}
    assert "3 classes are listed; the whole data set has 400." in listing.notes


@pytest.mark.parametrize(
    "file",
    [
        "abseiling/aaaaaaaaaaa_000001_000011.webm",
        "train/abseiling/aaaaaaaaaaa_000001_000011.avi",
        "train/aaaaaaaaaaa_000001_000011.MP4",
        "some/deep/folder/aaaaaaaaaaa_000001_000011.mp4.webm",
        "aaaaaaaaaaa.mov",
    ],
)
def test_a_video_is_found_wherever_its_download_has_put_it(listed, brief, file):
    rows = HEADER + "abseiling,aaaaaaaaaaa,1,11,train\n"
    listing = listed("kinetics600", [file], {"kinetics-600_train.csv": rows})
    assert brief(listing) == {"train": [("aaaaaaaaaaa_000001_000011", file, 0)]}


def test_of_several_copies_the_one_in_its_own_folders_is_taken(listed, brief):
    name = "aaaaaaaaaaa_000001_000011"
    copies = [f"a/{name}.mp4", f"train/flying_kite/{name}.mkv", f"train/flying_kite/{name}.mp4"]
    rows = HEADER + '"flying kite",aaaaaaaaaaa,1,11,train\n'
    listing = listed("kinetics400", copies, {"train.csv": rows})
    assert brief(listing)["train"] == [(name, copies[2], 0)]
    assert listing.unlisted == copies[:2]


def test_a_file_without_times_is_not_taken_for_either_of_two_segments(listed, brief):
    rows = (
        HEADER + "a,aaaaaaaaaaa,1,11,train\nb,aaaaaaaaaaa,20,30,train\nb,bbbbbbbbbbb,1,11,train\n"
    )
    videos = ["aaaaaaaaaaa.mp4", "bbbbbbbbbbb.mp4"]
    listing = listed("kinetics700", videos, {"train.csv": rows})
    assert brief(listing)["train"] == [
        ("aaaaaaaaaaa_000001_000011", None, 0),
        ("aaaaaaaaaaa_000020_000030", None, 1),
        ("bbbbbbbbbbb_000001_000011", "bbbbbbbbbbb.mp4", 1),
    ]
    assert listing.unlisted == ["aaaaaaaaaaa.mp4"]


def test_bad_rows_are_told_together_with_file_line_and_what_was_expected(refused):
    rows = HEADER + (
        "a,aaaaaaaaaaa,1,11,train\n"
        "a,bbbbbbbbbbb,x,11,train\n"
        "a,#NAME?,1,11,train\n"
        "laughing, loudly,ccccccccccc,1,11,train\n"
        ",ddddddddddd,1,11,train\n"
        "a,eeeeeeeeeee,11,1,train\n"
        "b,aaaaaaaaaaa,1,11,train\n"
    )
    message = refused("kinetics400", ["aaaaaaaaaaa.mp4"], {"train.csv": rows})
    assert message.startswith("6 rows of the annotations are bad")
    for line, part in [
        (3, "got time_start 'x', time_end '11'; expected whole numbers of seconds"),
        (4, "got youtube_id '#NAME?'; expected a YouTube id; a spreadsheet has replaced it"),
        (5, "got 6 columns, 'laughing,loudly,ccccccccccc,1,11,train'; expected 5"),
        (6, "got no label; expected a label"),
        (7, "got time_start 11, time_end 1; expected a start before the end"),
        (8, "got 'aaaaaaaaaaa_000001_000011' in split train with 'b'; expected in split train"),
    ]:
        assert f"train.csv:{line}: {part}" in message


def test_a_thousand_bad_rows_are_shown_as_ten(refused):
    message = refused("kinetics400", ["a.mp4"], {"train.csv": HEADER + "a,b,c,d,train\n" * 1000})
    assert message.count("train.csv:") == 10
    assert message.endswith("and 990 more.")


def test_a_row_that_repeats_another_counts_once(listed):
    rows = HEADER + "a,aaaaaaaaaaa,1,11,train\n" * 3
    listing = listed("kinetics400", ["aaaaaaaaaaa.mp4"], {"train.csv": rows})
    assert len(listing.splits["train"]) == 1
    assert any(note.startswith("2 rows repeat others") for note in listing.notes)


def test_a_video_in_two_splits_is_refused(refused):
    rows = HEADER + "a,aaaaaaaaaaa,1,11,\n"
    message = refused("kinetics400", ["aaaaaaaaaaa.mp4"], {"train.csv": rows, "val.csv": rows})
    assert "val.csv:2: got 'aaaaaaaaaaa_000001_000011' in split validation" in message
    assert "train.csv:2 has it" in message


def test_the_column_tells_the_split_where_the_name_does_not(tree, listed):
    rows = HEADER + "a,aaaaaaaaaaa,1,11,validate\nb,bbbbbbbbbbb,1,11,train\n"
    listing = listed("kinetics400", ["aaaaaaaaaaa.mp4"], {"train.csv": rows})
    assert list(listing.splits) == ["train"]  # a mini-val cut from train.csv keeps the column
    assert any("1 rows of train.csv name the split validation" in note for note in listing.notes)
    file = tree("annotations", {"all.csv": rows}) / "all.csv"
    listing = list_videos("kinetics400", Request(tree("videos", []), (file,)), "mini")
    assert listing.name == "mini"
    assert [len(listing.splits[split]) for split in ("train", "validation")] == [1, 1]


def test_a_subset_may_keep_the_numbers_of_the_whole(tree, listed, refused):
    rows = {"train.csv": HEADER + "zumba,aaaaaaaaaaa,1,11,train\n"}
    names = tree("", {"names.txt": "abseiling\nair drumming\nzumba\n"}) / "names.txt"
    listing = listed("kinetics400", ["aaaaaaaaaaa.mp4"], rows, class_list=names)
    assert listing.class_names == ("abseiling", "air drumming", "zumba")
    assert listing.splits["train"][0].label == 2
    assert "names.txt" in listing.annotations
    rows = {"train.csv": HEADER + "yoga,aaaaaaaaaaa,1,11,train\n"}
    message = refused("kinetics400", [], rows, class_list=names)
    assert "train.csv:2: got label 'yoga'; expected one of the 3 names" in message


def test_more_classes_than_there_are_is_another_kinetics(refused):
    rows = HEADER + "".join(f"label {i:03d},id{i:09d},1,11,train\n" for i in range(401))
    message = refused("kinetics400", [], {"train.csv": rows})
    assert "have 401 labels; expected at most 400" in message
    assert "'label 000' (" in message


def test_two_spellings_of_a_class_are_refused(refused):
    files = {
        "train.csv": HEADER + "air drumming,aaaaaaaaaaa,1,11,train\n",
        "val.csv": HEADER + "air_drumming,bbbbbbbbbbb,1,11,val\n",
    }
    message = refused("kinetics400", [], files)
    assert "val.csv:2: got label 'air_drumming'; expected 'air drumming'" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.mp4 3\nb.mp4 4\n", "train.csv:1: got 'a.mp4 3'; expected a row that names"),
        ("", "train.csv is empty"),
        (HEADER, "no row has a label; name a split that has them"),
        (HEADER + 'a,"aaaaaaaaaaa,1,11,train\n', "train.csv:2: got a row that is no CSV"),
        (b"\xff\xfel\x00", "train.csv:1: got bytes that are not UTF-8"),
    ],
)
def test_a_file_of_another_format_says_so(refused, content, expected):
    message = refused("kinetics400", ["a.mp4"], {"train.csv": content})
    assert expected in message


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(listed, brief):
    rows = b"\xef\xbb\xbf" + (HEADER + "a,aaaaaaaaaaa,1,11,train\n").replace("\n", "\r\n").encode()
    listing = listed("kinetics400", ["aaaaaaaaaaa.mp4"], {"train.csv": rows})
    assert brief(listing)["train"][0][1:] == ("aaaaaaaaaaa.mp4", 0)
