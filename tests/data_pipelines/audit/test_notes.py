"""Audits of what a build has noted, and of data sets of other builds or of none."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.annotations import Caption, Entry, Listing
from data_pipelines.audit import audit, locate
from data_pipelines.build import Settings, build
from data_pipelines.errors import DatasetDamagedError, DatasetMissingError
from data_pipelines.schema import features
from tests.data_pipelines.audit.damages import CLASS_NAMES, edit, kinds, rewrite


def test_captions_and_times_are_compared_as_they_are_stored(tmp_path, make_frames, write_video):
    """What a build digests is more exact than the 32 bits that records keep of it."""
    path = tmp_path / "a.mp4"
    path.write_bytes(write_video(make_frames(40, 32, 48)))
    listing = Listing(
        "demo",
        CLASS_NAMES,
        {"train": [Entry("a", str(path), 0)]},
        captions=lambda: iter([("a", [Caption(0.1, 0.7, "says é"), Caption(0.7, 9.3, "more")])]),
    )
    build(listing, tmp_path, Settings(record_seconds=0.7), workers=1)
    found = audit(tmp_path / "demo", workers=1)
    assert [str(problem) for problem in found.problems] == []

    def change(number, record):
        captions = record["captions"]
        rows = zip(captions["start"], captions["end"], captions["text"], strict=True)
        return record | {"captions": [{"start": s, "end": e, "text": "x"} for s, e, _ in rows]}

    rewrite(tmp_path / "demo" / "1.0.0", change)
    assert kinds(audit(tmp_path / "demo", workers=1)) == ["content_changed", "shard_changed"]


def test_a_label_without_a_class_is_found(folder):
    wider = features((*CLASS_NAMES, "more"), built=True)
    rewrite(folder, lambda number, record: record | {"label": 3 - number}, declared=wider)
    found = audit(folder, workers=1)
    assert kinds(found) == ["content_changed", "label_out_of_range", "shard_changed"]
    (problem,) = [one for one in found.problems if one.kind == "label_out_of_range"]
    assert problem.message == "label holds [3]; classes are 0 … 2"


def test_a_changed_class_list_is_found(folder):
    path = folder / "label.labels.txt"
    path.write_text("rising\nfalling\nturning\n")
    found = audit(folder, workers=1)
    assert kinds(found) == ["class_list_changed", "fingerprint_changed"]
    assert "class 0 is 'falling' in the manifest, 'rising' in" in str(found.problems[0])


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda manifest: manifest.update(fingerprint="0" * 64), "fingerprint_changed"),
        (lambda manifest: manifest.update(label_map_sha256="0" * 64), "class_list_changed"),
        (lambda manifest: manifest["class_names"].pop(), "class_list_changed"),
        (lambda manifest: manifest.update(version="2.0.0"), "count_changed"),
        (lambda manifest: manifest["splits"]["train"].update(records=5), "count_changed"),
        (lambda manifest: manifest["splits"]["train"].update(listed=99), "count_changed"),
        (lambda manifest: manifest["splits"].pop("test"), "count_changed"),
        (lambda manifest: manifest["settings"].update(short_side=99), "content_changed"),
        (lambda manifest: manifest["splits"]["test"].update(content_sha256="0"), "content_changed"),
        (
            lambda manifest: manifest["splits"]["test"]["shards"].update(
                {"demo-test.array_record-00001-of-00002": "0" * 64}
            ),
            "shard_changed",
        ),
        (lambda manifest: manifest.clear(), "manifest_damaged"),
    ],
)
def test_a_manifest_that_was_edited_is_found(folder, change, kind):
    edit(folder / "manifest.json", change)
    found = kinds(audit(folder, workers=1, decode=False))
    assert set(found) - {"metadata_changed"} == {kind}  # as it says some of that again


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda metadata: metadata.update(mirrorable=False), "metadata_changed"),
        (lambda metadata: metadata["settings"].update(max_fps=1), "metadata_changed"),
        (lambda metadata: metadata["counts"]["train"].update(listed=99), "metadata_changed"),
        (lambda metadata: metadata["dropped"]["test"].update(undecodable=1), "metadata_changed"),
        (lambda metadata: metadata.pop("mirrorable"), "metadata_changed"),
    ],
)
def test_metadata_that_were_edited_are_found(folder, change, kind):
    edit(folder / "metadata.json", change)
    found = audit(folder, workers=1, decode=False)
    assert kinds(found) == [kind]
    assert "in metadata.json, and " in str(found.problems[0])


def test_metadata_of_another_kind_or_none_are_found(folder):
    edit(folder / "metadata.json", lambda metadata: metadata.update(content_sha256=[1]))
    assert "metadata_damaged" in kinds(audit(folder, workers=1, decode=False))
    (folder / "metadata.json").unlink()
    assert "metadata_changed" in kinds(audit(folder, workers=1, decode=False))


def test_what_cannot_be_read_is_told_and_not_taken_for_damage(folder):
    """A folder in the place of a file is one that not even root can read."""
    shard = folder / "demo-test.array_record-00000-of-00002"
    for path in (shard, folder / "manifest.json"):
        path.unlink()
        path.mkdir()
    found = audit(folder, workers=1, decode=False)
    assert kinds(found) == ["manifest_damaged", "shard_unreadable"]
    (problem,) = [one for one in found.problems if one.kind == "shard_unreadable"]
    assert problem.shard == shard.name
    assert "it cannot be read (Is a directory)" in problem.message


@pytest.mark.parametrize(
    ("name", "kind"), [("manifest.json", "manifest_damaged"), ("metadata.json", "metadata_damaged")]
)
def test_notes_that_are_no_json_are_found(folder, name, kind):
    (folder / name).write_text((folder / name).read_text()[:50])
    assert kinds(audit(folder, workers=1, decode=False)) == [kind]


def test_a_data_set_of_another_build_is_audited_as_far_as_it_can_be(
    tmp_path, write_dataset, make_record
):
    records = [make_record(number) for number in range(4)]
    records[1]["label"] = -1
    records[2]["video_id"] = records[3]["video_id"]
    made = write_dataset(tmp_path, {"train": records})
    found = audit(made.folder, workers=1)
    assert kinds(found) == ["repeated_id"]
    assert found.splits["train"].unlabelled == 1
    assert found.unchecked[0].startswith("There is no manifest.json")


def test_the_embedded_data_set_is_sound(motions_dir):
    found = audit(motions_dir / "motions", workers=1, decode=False)
    assert found.problems == []
    assert found.splits["train"].records == 32


def test_the_newest_version_is_audited(folder):
    for version in ("1.2.0", "1.10.0", "9.0.0"):
        shutil.copytree(folder, folder.parent / version)
    (folder.parent / "9.0.0" / "dataset_info.json").unlink()
    assert locate(folder.parent) == epath.Path(folder.parent / "1.10.0")
    assert locate(folder) == epath.Path(folder)


def test_what_is_no_data_set_is_refused(tmp_path, folder):
    with pytest.raises(DatasetMissingError, match="is no folder"):
        audit(tmp_path / "nowhere")
    with pytest.raises(DatasetMissingError, match=r"holds \['demo'\]"):
        audit(tmp_path)
    (folder / "dataset_info.json").unlink()
    for place in (folder, folder.parent):
        with pytest.raises(DatasetDamagedError, match="has not come to its end"):
            audit(place)


def test_a_data_set_of_something_else_is_refused(tmp_path, write_dataset):
    declared = tfds.features.FeaturesDict({"a": np.int32})
    made = write_dataset(tmp_path, {"train": []}, features=declared)
    with pytest.raises(DatasetDamagedError, match="no data set of ours"):
        audit(made.folder, workers=1)
