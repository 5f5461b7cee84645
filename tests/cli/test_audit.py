"""``vidtx data audit`` as a command; what it finds is tested with `data_pipelines.audit`."""

import shutil


def test_a_sound_data_set(data_dir, command):
    told = command("data", "audit", data_dir / "mine", "--workers=1")
    assert told.out.splitlines()[-1] == "The data set is sound."
    lines = [line.split() for line in told.out.splitlines()]
    assert any(line[:5] == ["train", "2", "6", "0", "135"] for line in lines)
    assert told.out.startswith("mine 1.0.0: 2 classes, fingerprint ")


def test_a_damaged_one(tmp_path, data_dir, command):
    shutil.copytree(data_dir / "mine", tmp_path / "mine")
    folder = tmp_path / "mine" / "1.0.0"
    gone = folder / "mine-validation.array_record-00000-of-00002"
    gone.unlink()
    told = command("data", "audit", folder, "--workers=1", "--quick", code=5)
    lines = told.out.splitlines()
    assert f"{gone.name}: shard_missing: " in told.out
    assert "No frame was decoded." in lines
    assert lines[-1] == "1 problem: 1 shard_missing."
    found = command("data", "audit", folder, "--workers=1", "--json", code=5).json
    assert [problem["kind"] for problem in found["problems"]] == ["shard_missing"]
    assert found["sound"] is False
    assert found["splits"]["train"]["records"] == 6


def test_a_long_list_is_cut_and_with_json_it_is_not(tmp_path, data_dir, command):
    shutil.copytree(data_dir / "mine", tmp_path / "mine")
    folder = tmp_path / "mine" / "1.0.0"
    shard = next(folder.glob("*train*"))
    for number in range(30):
        shutil.copy(shard, folder / f"mine-more.array_record-{number:05d}-of-00030")
    told = command("data", "audit", folder, "--workers=1", "--quick", code=5)
    assert told.out.count("unknown_file: it is a shard of no split") == 20
    assert "… and 10 more; --json prints all.\n30 problems: 30 unknown_file.\n" in told.out
    found = command("data", "audit", folder, "--workers=1", "--quick", "--json", code=5).json
    assert len(found["problems"]) == 30


def test_an_unfinished_build(tmp_path, data_dir, command):
    shutil.copytree(data_dir / "mine", tmp_path / "mine")
    (tmp_path / "mine" / "1.0.0" / "dataset_info.json").unlink()
    assert "has not come to its end" in command("data", "audit", tmp_path / "mine", code=5).err
