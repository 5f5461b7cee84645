"""Something-Something V2, Diving48, UCF101 and HMDB51 in the files that they are published as."""

import json

import pytest

LABELS = {
    "Pushing something from left to right": "1",
    "Approaching something with your camera": "0",
    "Holding something": "2",
}
SSV2 = {
    "labels.json": json.dumps(LABELS),
    "train.json": json.dumps(
        [
            {
                "id": "78687",
                "label": "holding potato next to vicks",
                "template": "Holding [something]",
                "placeholders": ["potato"],
            },
            {"id": "2", "template": "Pushing [something] from left to right"},
        ]
    ),
    "validation.json": json.dumps([{"id": "3", "template": "Holding [something]"}]),
    "test.json": json.dumps([{"id": "4"}, {"id": "5"}]),
}


@pytest.mark.parametrize("prefix", ["", "something-something-v2-", "labels/"])
def test_something_something_has_its_own_order_and_is_never_mirrored(listed, brief, prefix):
    files = {prefix + name: content for name, content in SSV2.items()}
    listing = listed("something_something_v2", ["78687.webm", "20bn/5.webm"], files)
    assert listing.class_names == tuple(sorted(LABELS, key=lambda name: int(LABELS[name])))
    assert not listing.mirrorable
    assert brief(listing) == {
        "train": [("78687", "78687.webm", 2), ("2", None, 1)],
        "validation": [("3", None, 2)],
        "test": [("4", None, -1), ("5", "20bn/5.webm", -1)],
    }
    assert "3 classes are listed; the whole data set has 174." in listing.notes


def test_something_something_takes_the_answers_of_its_test_split(listed):
    files = {**SSV2, "test-answers.csv": "4;Holding something\n"}
    listing = listed("something_something_v2", ["4.webm"], files)
    assert [entry.label for entry in listing.splits["test"]] == [2, -1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"train.json": '[\n{"id": "1",\n "template": "Eating [something]"},\n{"id": "2"}\n]'},
            [
                "train.json:2: got entry 0 (1) with template 'Eating [something]'; expected a temp",
                "train.json:4: got entry 1 (2) without a template",
            ],
        ),
        ({"train.json": '{"id": 1}'}, ["train.json:1: got '{\"id\": 1}'; expected a list"]),
        (
            {"train.json": '[\n{"id": "1", "templ'},
            ["train.json:2: got the end of the file; expected the rest of a value. Its download"],
        ),
        ({"train.json": '[{"id": "1"}\n{"id"'}, ["train.json:2: got '{\"id\"'; expected a comma"]),
        ({"labels.json": '{"Holding something": "7"}'}, ["labels.json:1: got number '7'"]),
        (
            {"labels.json": '{"A": "0",\n"B": "0"}'},
            ["labels.json:2: got number '0' of 'B'; expected one that 'A' does not have"],
        ),
        ({"labels.json": '{"A": "0",\n"A": "1"}'}, ["labels.json:2: got 'A' again"]),
        ({"test-answers.csv": "4;Eating\n"}, ["test-answers.csv:1: got '4;Eating'"]),
    ],
)
def test_something_something_tells_bad_entries(refused, change, expected):
    message = refused("something_something_v2", ["1.webm"], {**SSV2, **change})
    for part in expected:
        assert part in message


def test_something_something_needs_its_labels(refused):
    message = refused("something_something_v2", ["1.webm"], {"train.json": SSV2["train.json"]})
    assert "something-something-v2-labels.json" in message


VOCABULARY = json.dumps(
    [["Back", "15som", "05Twis", "FREE"], ["Forward", "1som", "NoTwis", "PIKE"]]
)


def dive(name, label):
    return json.dumps([{"vid_name": name, "label": label, "start_frame": 0, "end_frame": 48}])


def test_diving48_lists_cut_clips(listed, brief):
    files = {
        "Diving48_V2_train.json": dive("-mmq0PT-u8k_00155", 1),
        "Diving48_V2_test.json": dive("b_00001", 0),
        "Diving48_vocab.json": VOCABULARY,
        "Diving48_train.json": dive("b_00001", 0),  # the first version, beside the second: unread
    }
    listing = listed("diving48", ["rgb/-mmq0PT-u8k_00155.mp4"], files)
    assert listing.class_names == ("Back 15som 05Twis FREE", "Forward 1som NoTwis PIKE")
    assert brief(listing) == {
        "train": [("-mmq0PT-u8k_00155", "rgb/-mmq0PT-u8k_00155.mp4", 1)],
        "test": [("b_00001", None, 0)],
    }
    assert listing.mirrorable
    assert "Diving48_train.json" not in listing.annotations


def test_diving48_refuses_the_first_version_and_bad_entries(refused):
    vocabulary = {"Diving48_vocab.json": VOCABULARY}
    message = refused("diving48", ["a.mp4"], {"Diving48_train.json": dive("a", 0), **vocabulary})
    assert "Diving48_train.json has the first version of the labels" in message
    files = {"Diving48_V2_train.json": dive("a", 2), "Diving48_V2_test.json": "[{}]", **vocabulary}
    message = refused("diving48", ["a.mp4"], files)
    assert "train.json:1: got entry 0 (a) with label 2; expected a whole number in 0 … 1" in message
    assert "test.json:1: got entry 0 with vid_name None; expected a clip's name" in message


UCF101 = {
    "ucfTrainTestlist/classInd.txt": "1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n",
    "ucfTrainTestlist/trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
    "HandStandPushups/v_HandStandPushups_g08_c01.avi 2\r\n",
    "ucfTrainTestlist/testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\n",
    "ucfTrainTestlist/trainlist02.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\r\n",
    "ucfTrainTestlist/testlist02.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\r\n",
}
UCF101_VIDEOS = [
    "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
    "UCF-101/HandstandPushups/v_HandstandPushups_g08_c01.avi",
    "v_ApplyEyeMakeup_g01_c01.avi",
]


def test_ucf101_finds_handstands_in_whichever_case(listed, brief):
    listing = listed("ucf101", UCF101_VIDEOS, UCF101)
    assert listing.class_names == ("ApplyEyeMakeup", "HandstandPushups")
    assert brief(listing) == {
        "train": [
            ("v_ApplyEyeMakeup_g08_c01", UCF101_VIDEOS[0], 0),
            ("v_HandStandPushups_g08_c01", UCF101_VIDEOS[1], 1),
        ],
        "test": [("v_ApplyEyeMakeup_g01_c01", UCF101_VIDEOS[2], 0)],
    }
    assert sorted(listing.annotations) == ["classInd.txt", "testlist01.txt", "trainlist01.txt"]
    second = listed("ucf101", UCF101_VIDEOS, UCF101, fold=2)
    assert brief(second)["train"] == brief(listing)["test"]
    assert second.unlisted == [UCF101_VIDEOS[1]]


def test_ucf101_refuses_a_group_on_both_sides_and_bad_rows(refused):
    rows = (
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi\n"
        "Archery/v_Archery_g01_c01.avi\n"
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c02.avi 2\n"
    )
    message = refused("ucf101", UCF101_VIDEOS, {**UCF101, "ucfTrainTestlist/testlist01.txt": rows})
    assert "testlist01.txt:1: got 'v_ApplyEyeMakeup_g08_c02' of group g08 in test" in message
    assert "testlist01.txt:2: got 'Archery/v_Archery_g01_c01.avi'; expected `CLASS/" in message
    assert "testlist01.txt:3: " in message
    assert "expected 1, the number of ApplyEyeMakeup" in message
    message = refused("ucf101", UCF101_VIDEOS, {**UCF101, "ucfTrainTestlist/classInd.txt": "2 A\n"})
    assert "expected every number from 1 on" in message


def test_ucf101_needs_the_files_of_its_fold(refused):
    message = refused("ucf101", UCF101_VIDEOS, UCF101, fold=3)
    assert "fold 3 needs one file each" in message
    assert "trainlist01.txt" in message


def test_hmdb51_takes_odd_names_and_leaves_out_the_unused(listed, brief):
    videos = ["wave/#20_(Rhythm) & clap!_u_nm_5.avi", "wave/b.avi", "clap/c.avi", "clap/d.avi"]
    files = {
        "splits/wave_test_split1.txt": "#20_(Rhythm) & clap!_u_nm_5.avi 1 \nb.avi 2 \n",
        "splits/clap_test_split1.txt": "c.avi 0 \n",
        "splits/wave_test_split2.txt": "b.avi 1 \n",
        "splits/clap_test_split2.txt": "c.avi 1 \n",
    }
    listing = listed("hmdb51", videos, files)
    assert listing.class_names == ("clap", "wave")
    assert brief(listing) == {
        "train": [("wave/#20_(Rhythm) & clap!_u_nm_5", videos[0], 1)],
        "test": [("wave/b", videos[1], 1)],
    }
    assert listing.unlisted == ["clap/d.avi"]  # c is listed, as unused
    assert len(listed("hmdb51", videos, files, fold=2).splits["train"]) == 2


def test_hmdb51_tells_bad_rows_and_absent_files(refused):
    files = {"wave_test_split1.txt": "b.avi 3\nb.avi\n", "clap_test_split1.txt": "c.avi 1\n"}
    message = refused("hmdb51", ["b.avi"], files)
    assert "wave_test_split1.txt:1: got 'b.avi 3'; expected `NAME.avi USE`" in message
    assert "wave_test_split1.txt:2: got 'b.avi'" in message
    message = refused("hmdb51", ["b.avi"], {**files, "clap_test_split2.txt": "c.avi 1\n"}, fold=2)
    assert "fold 2 has no file for 1 classes that other folds have, such as 'wave'" in message
