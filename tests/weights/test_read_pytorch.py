"""Files of PyTorch: every layout of the official checkpoints, and nothing in them is run."""

import argparse
import json
import os

import numpy as np
import pytest

from tests.models import tiny
from tests.weights import published
from vidtx.errors import CheckpointError
from vidtx.weights import is_foreign, read_foreign

torch = pytest.importorskip("torch", reason="PyTorch reads its own files: pip install vidtx[torch]")

CFG = """
DATA: {MEAN: [0.45, 0.45, 0.45], STD: [0.225, 0.225, 0.225], NUM_FRAMES: 4, PATH_TO_DATA_DIR: x,
  TRAIN_CROP_SIZE: 8, TEST_CROP_SIZE: 8}
MODEL: {ARCH: vit, NUM_CLASSES: 5}
TIMESFORMER: {ATTENTION_TYPE: divided_space_time, PRETRAINED_MODEL: ''}
TRAIN: {DATASET: kinetics}
"""


def tensors(theirs):
    return {name: torch.from_numpy(np.array(array)) for name, array in theirs.items()}


def save(path, held, **options):
    torch.save(held, path, **options)
    return path


@pytest.mark.parametrize("container", ["model_state", "state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_a_checkpoint_of_training_is_read_exactly(tmp_path, container, prefix):
    ours = published.params("divided", published.GRID)
    theirs = published.official(ours, prefix)
    held = tensors(theirs)
    extras = {}
    if container is not None:
        moments = {0: {"momentum_buffer": torch.zeros(3)}}
        extras = {
            "epoch": 14,
            "optimizer_state": {"state": moments, "param_groups": [{"lr": 0.1, "params": [0]}]},
            "cfg": CFG,
        }
        held = {container: held} | extras
    path = save(tmp_path / "TimeSformer_divST_8x32_224_K400.pyth", held)
    assert is_foreign(path)
    source = read_foreign(path, num_heads=published.HEADS)
    assert source.layout == "TimeSformer (official)"
    assert source.architecture.scheme == "divided"
    assert source.architecture.num_frames == published.GRID[0]
    assert source.contract["data.channel_order"] == "rgb"
    published.assert_equal(source.params, ours)
    published.assert_accounted(source, [*theirs, *extras])
    assert {entry.theirs[0] for entry in source.report.of("dropped")} == extras.keys()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("scheme", ["joint", "space"])
def test_both_formats_of_pytorch_are_read(tmp_path, scheme, zipped):
    ours = published.params(scheme, published.GRID)
    cfg = CFG.replace("divided_space_time", published.ATTENTION_TYPES[scheme])
    held = {"model_state": tensors(published.official(ours)), "cfg": cfg}
    path = save(tmp_path / "a.pyth", held, _use_new_zipfile_serialization=zipped)
    source = read_foreign(path, num_heads=2)
    assert source.architecture.scheme == scheme
    assert source.architecture.num_frames == 4
    assert not source.report.notes
    published.assert_equal(source.params, ours)


def test_without_time_a_checkpoint_of_training_is_a_timesformer(tmp_path):
    ours = published.params("space")
    held = {"model_state": tensors(published.official(ours, prefix=""))}
    source = read_foreign(save(tmp_path / "a.pyth", held), num_heads=2)
    assert source.architecture.scheme == "space"
    assert source.contract["data.mean"] == [0.45] * 3
    # timm's and the authors' of DeiT have other containers.
    held = {"model": tensors(published.timm(ours))}
    source = read_foreign(save(tmp_path / "a.pth", held), num_heads=2)
    assert source.architecture.is_image_model
    # Lightning's has a prefix besides.
    lightning = tensors(published.official(ours, prefix="model."))
    held = {"state_dict": lightning, "hyper_parameters": {"lr": 0.1}}
    source = read_foreign(save(tmp_path / "a.ckpt", held), num_heads=2)
    assert source.architecture.is_image_model
    # And with the authors' cfg it is theirs.
    held = {"state_dict": lightning, "cfg": CFG.replace("divided_space_time", "space_only")}
    source = read_foreign(save(tmp_path / "a.pth", held), num_heads=2)
    assert source.architecture.scheme == "space"


def test_the_cfg_says_what_weights_do_not_and_weights_count(tmp_path):
    ours = published.params("space", (1, 2, 3))
    cfg = (
        CFG.replace("divided_space_time", "space_only")
        .replace("NUM_FRAMES: 4", "NUM_FRAMES: 32")
        .replace("0.45, 0.45, 0.45", "0.5, 0.5, 0.5")
        .replace("NUM_CLASSES: 5", "NUM_CLASSES: 400")
        .replace("kinetics", "ssv2")
    )
    held = {"model_state": tensors(published.official(ours)), "cfg": cfg}
    path = save(tmp_path / "a.pyth", held)
    source = read_foreign(path, num_heads=2, image_size=(8, 12))
    assert source.architecture.num_frames == 32
    assert source.architecture.num_classes == tiny.CLASSES
    assert source.contract["data.channel_order"] == "bgr"
    assert source.contract["data.mean"] == [0.5] * 3
    assert any("num_classes 400, and the weights are of 5" in note for note in source.report.notes)

    held["cfg"] = "a: [unfinished"
    source = read_foreign(save(path, held), num_heads=2, image_size=(8, 12))
    assert any("cfg cannot be understood" in note for note in source.report.notes)

    held["cfg"] = CFG
    with pytest.raises(CheckpointError) as error:
        read_foreign(save(path, held), num_heads=2, image_size=(8, 12))
    assert "scheme divided" in str(error.value)
    assert "blocks.1.temporal_fc.weight" in str(error.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_become_float32(tmp_path, dtype):
    ours = published.params("space")
    held = {name: array.to(dtype) for name, array in tensors(published.timm(ours)).items()}
    source = read_foreign(save(tmp_path / "pytorch_model.bin", held), num_heads=2)
    rounded = {
        name: torch.from_numpy(np.array(array)).to(dtype).float().numpy()
        for name, array in ours.items()
    }
    published.assert_equal(source.params, rounded)
    name = str(dtype).removeprefix("torch.")
    assert all(f"from {name}" in entry.how for entry in source.report.of("used"))


def test_a_folder_of_transformers_with_shards_of_pytorch(tmp_path):
    ours = published.params("divided", published.GRID)
    theirs = tensors(published.huggingface(ours))
    (tmp_path / "config.json").write_text(json.dumps(published.config("divided")))
    path = save(tmp_path / "pytorch_model.bin", theirs)
    published.assert_equal(read_foreign(tmp_path).params, ours)
    path.unlink()
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    index = {name: names[place % 2] for place, name in enumerate(theirs)}
    for shard in names:
        save(tmp_path / shard, {name: theirs[name] for name in theirs if index[name] == shard})
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    source = read_foreign(tmp_path)
    published.assert_equal(source.params, ours)
    published.assert_accounted(source, theirs)


class Hostile:
    """Pickles as a call that leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_that_is_pickled_is_run(tmp_path, zipped):
    trace = tmp_path / "trace"
    held = {"model": tensors(published.timm(published.params("space"))), "a": Hostile(trace)}
    path = save(tmp_path / "a.pth", held, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"an object of \w+\.mkdir besides tensors"):
        read_foreign(path)
    assert not trace.exists()
    held["a"] = argparse.Namespace(lr=0.1)
    with pytest.raises(CheckpointError, match=r"argparse\.Namespace .* save the weights alone"):
        read_foreign(save(path, held))


def test_files_without_arrays_by_name_are_told(tmp_path):
    for held, said in (
        ([torch.zeros(2)], "holds one list"),
        ({"epoch": 3, "note": "a"}, "its entries are epoch, note"),
        (torch.zeros(2), "holds one array, not arrays by their names"),
    ):
        with pytest.raises(CheckpointError, match=said):
            read_foreign(save(tmp_path / "a.pth", held))


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_files_are_told(tmp_path, zipped):
    theirs = tensors(published.timm(published.params("space")))
    path = save(tmp_path / "a.pth", theirs, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for part in (0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(CheckpointError, match="download or copy it again"):
            read_foreign(path, num_heads=2)


def test_what_is_no_dense_floating_point_is_refused(tmp_path):
    theirs = tensors(published.timm(published.params("space")))
    theirs["norm.weight"] = torch.arange(16)
    theirs["blocks.0.mlp.fc1.weight"] = theirs["blocks.0.mlp.fc1.weight"].to_sparse()
    with pytest.raises(CheckpointError) as error:
        read_foreign(save(tmp_path / "a.pth", theirs), num_heads=2)
    assert "norm.weight is of type int64" in str(error.value)
    assert "blocks.0.mlp.fc1.weight is of type float32, torch.sparse_coo" in str(error.value)
