"""Files that cannot be taken: all that is wrong with them at once, and what to do."""

import io
import json
import math
import struct
import sys
import zipfile

import numpy as np
import pytest

from tests.weights import published
from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.weights import is_foreign, read_foreign

OURS = published.params("space")


def refused(path, **options):
    with pytest.raises(CheckpointError) as error:
        read_foreign(path, **options)
    assert str(path) in str(error.value)
    return str(error.value)


def test_names_that_the_model_does_not_have_are_all_listed(tmp_path):
    theirs = published.timm(published.params("space", depth=5))
    added = {
        f"blocks.{i}.{name}": np.ones(16, np.float32)
        for i in range(5)
        for name in ("ls1.gamma", "ls2.gamma", "attn.q_norm.weight")
    }
    for name in ("reg_token", "fc_norm.weight", "norm_pre.bias", "blocks.1.else", "blocks.3.else"):
        added[name] = np.ones(16, np.float32)
    gone = ["cls_token", *(f"blocks.{i}.attn.qkv.bias" for i in range(5))]
    theirs = {name: array for name, array in (theirs | added).items() if name not in gone}
    for i in (0, 1, 2, 4):
        theirs[f"blocks.{i}.mlp.fc1.weight"] = np.zeros((48, 16), np.float32)
    theirs["norm.bias"] = np.zeros(16, np.int64)
    message = refused(published.save(tmp_path / "a.safetensors", theirs), num_heads=2)
    for line in (
        "unknown, with no place in vidtx's model:",
        "- blocks.{0–4}.ls1.gamma (scaled layers)",
        "- blocks.{0–4}.ls2.gamma (scaled layers)",
        "- blocks.{0–4}.attn.q_norm.weight (normalised queries and keys)",
        "- reg_token (register tokens)",
        "- fc_norm.weight (average pooling in the place of the class token)",
        "- norm_pre.bias (a norm before the blocks)",
        "- blocks.1.else",
        "- blocks.3.else",
        "absent:",
        "- cls_token (has it no class token?)",
        "- blocks.{0–4}.attn.qkv.bias (has it no biases in attention?)",
        "- blocks.{0–2,4}.mlp.fc1.weight is (48, 16); it must be (64, 16)",
        "- norm.bias is of type int64, not of floating-point numbers",
        "Name weights of such a model",
    ):
        assert line in message
    assert len(message.splitlines()) == 16


def test_one_array_under_two_names_is_refused(tmp_path):
    theirs = published.timm(OURS)
    theirs["module.norm.weight"] = theirs["norm.weight"]
    message = refused(published.save(tmp_path / "a.safetensors", theirs), num_heads=2)
    assert "norm.weight" in message
    assert "is there again as" in message


def test_shapes_that_no_model_has_are_told(tmp_path):
    theirs = published.timm(OURS)
    theirs["patch_embed.proj.weight"] = np.zeros((16, 48), np.float32)
    theirs["pos_embed"] = np.zeros((1, 1, 16), np.float32)
    theirs["head.bias"] = np.zeros(0, np.float32)
    message = refused(published.save(tmp_path / "a.safetensors", theirs), num_heads=2)
    assert "patch_embed.proj.weight is (16, 48); no model has that" in message
    assert "pos_embed is (1, 1, 16); no model has that" in message
    assert "head.bias is (0,); no model has that" in message
    theirs["patch_embed.proj.weight"] = np.zeros((16, 1, 4, 8), np.float32)
    message = refused(published.save(tmp_path / "a.safetensors", theirs), num_heads=2)
    assert "patch_embed.proj.weight is (16, 1, 4, 8); it must be (16, 3, 4, 4)" in message


def test_parts_of_models_are_refused(tmp_path):
    theirs = published.timm(OURS)
    blocks = {name: array for name, array in theirs.items() if not name.startswith("blocks.0")}
    message = refused(published.save(tmp_path / "a.safetensors", blocks), num_heads=2)
    assert "blocks.0.attn.qkv.weight" in message
    outside = {name: array for name, array in theirs.items() if not name.startswith("blocks.")}
    message = refused(published.save(tmp_path / "a.safetensors", outside), num_heads=2)
    assert "it has no blocks" in message
    far = {name.replace("blocks.1.", "blocks.1000000000."): a for name, a in theirs.items()}
    message = refused(published.save(tmp_path / "a.safetensors", far), num_heads=2)
    assert "a block 1000000000 among 32 arrays" in message
    one = {"norm.weight": theirs["norm.weight"]}
    assert "it has no blocks" in refused(published.save(tmp_path / "a.safetensors", one))


def test_weights_of_other_models_are_told(tmp_path):
    arrays = {"bert.encoder.a": np.zeros(1, np.float32)}
    message = refused(published.save(tmp_path / "a.safetensors", arrays))
    assert "bert.encoder.a" in message
    assert "TimeSformer (official)" in message
    # Big Vision's layout of Google's ViT.
    theirs = {
        name.replace("LayerNorm_2", "LayerNorm_1").replace("MlpBlock_3", "MlpBlock_0"): array
        for name, array in published.google(OURS).items()
    }
    message = refused(published.save(tmp_path / "a.npz", theirs))
    assert "Big Vision's ViT" in message
    # Attention in heads that are not as many as the width allows.
    theirs = published.google(OURS)
    name = "Transformer/encoderblock_1/MultiHeadDotProductAttention_1/key/kernel"
    theirs[name] = np.zeros((16, 4, 4), np.float32)
    message = refused(published.save(tmp_path / "a.npz", theirs))
    assert f"{name} is (16, 4, 4); it must be (16, 2, 8)" in message
    assert "the number of heads is 2 by the shape of the query and 4 by num_heads" in refused(
        tmp_path / "a.npz", num_heads=4
    )


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_truncated_files_are_told(tmp_path, suffix):
    publish = published.google if suffix == ".npz" else published.timm
    path = published.save(tmp_path / f"a{suffix}", publish(OURS))
    whole = path.read_bytes()
    for part in (0.01, 0.5, 0.99):
        path.write_bytes(whole[: int(part * len(whole))])
        assert "download or copy it again" in refused(path, num_heads=2)


def test_bits_that_changed_in_an_npz_are_told(tmp_path):
    path = published.save(tmp_path / "a.npz", published.google(OURS))
    whole = bytearray(path.read_bytes())
    place = whole.index(OURS["norm.bias"].tobytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    message = refused(path)
    assert "Bad CRC-32 for file 'Transformer/encoder_norm/bias.npy'" in message


def test_an_npz_that_is_damaged_in_any_way_is_told(tmp_path):
    path = tmp_path / "a.npz"
    theirs = published.google(OURS)
    np.savez_compressed(path, **theirs)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        first, later = (archive.getinfo(f"{name}.npy") for name in ("cls", "head/bias"))
    garbled = bytearray(whole)  # compressed data that is none
    data = later.header_offset + 30 + len(later.filename) + 20
    garbled[data : data + later.compress_size] = b"\xff" * later.compress_size
    path.write_bytes(garbled)
    assert "download or copy it again" in refused(path)
    garbled = bytearray(whole)  # a method of compression that there is not
    for place in (first.header_offset + 8, whole.index(b"PK\x01\x02") + 10):
        garbled[place] = 99
    path.write_bytes(garbled)
    assert "compression" in refused(path)
    # A header that asks for more memory than there is.
    header = io.BytesIO()
    shape = (1, 1, 10**14)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    published.save(path, {name: array for name, array in theirs.items() if name != "cls"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("cls.npy", header.getvalue())
    assert "cls.npy says that it is float32[1, 1, 100000000000000], and has 0 bytes" in refused(
        path
    )


def test_objects_in_an_npz_are_not_unpickled(tmp_path):
    class Hostile:
        def __reduce__(self):
            return pytest.fail, ("it was unpickled",)

    theirs = published.google(OURS) | {"head/bias": np.array([Hostile()] * 5)}
    message = refused(published.save(tmp_path / "a.npz", theirs))
    assert "head/bias is of type object, not of floating-point numbers" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page, not weights"),
        (b"\n  <html>", "is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "no file of weights that vidtx knows"),
        (b"PK\x05\x06" + bytes(18), "no file of weights that vidtx knows"),
        (b"short", "no file of weights that vidtx knows"),
        (struct.pack("<Q", 10) + b"{not JSON}" + bytes(8), "download or copy it again"),
    ],
)
@pytest.mark.parametrize("name", ["a.safetensors", "pytorch_model.bin"])
def test_files_that_are_no_weights_are_told(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    assert said in refused(path)


@pytest.mark.parametrize("start", [b"PK", b"\x80\x30"])
def test_a_header_may_be_as_long_as_it_likes(tmp_path, start):
    """The length comes first in a safetensors file, and may look like another format's mark."""
    path = published.save(tmp_path / "a.safetensors", published.timm(OURS))
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    wanted = int.from_bytes(start, "little")
    header = whole[8 : 8 + length].ljust(wanted)
    path.write_bytes(struct.pack("<Q", wanted) + header + whole[8 + length :])
    assert path.read_bytes().startswith(start)
    assert length < wanted
    published.assert_equal(read_foreign(path, num_heads=2).params, OURS)


def test_paths_without_weights_are_told(tmp_path):
    with pytest.raises(ConfigError, match="no file or folder"):
        read_foreign(tmp_path / "nowhere")
    assert "holds no file of weights" in refused(tmp_path)
    assert not is_foreign(tmp_path)
    assert not is_foreign(tmp_path / "nowhere")
    for name in ("a.npz", "b.npz"):
        published.save(tmp_path / name, published.google(OURS))
    assert is_foreign(tmp_path)
    assert is_foreign(str(tmp_path / "a.npz"))
    with pytest.raises(ConfigError, match=r"several files of weights: a\.npz, b\.npz"):
        read_foreign(tmp_path)
    (tmp_path / "b.npz").unlink()
    published.assert_equal(read_foreign(tmp_path).params, OURS)
    (tmp_path / "a.txt").write_text("a")
    assert not is_foreign(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "it holds one list"),
        (json.dumps({"model_type": "vit", "image_size": "large"}), "cannot be understood"),
        (json.dumps({"model_type": "vit", "id2label": {"a": "b"}}), "cannot be understood"),
        (json.dumps({"model_type": "vit", "image_size": math.inf}), "cannot be understood"),
        (json.dumps({"model_type": "vit", "image_size": -8}), "are no picture"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps({"architecture": "vit", "pretrained_cfg": []}), None),
    ],
)
def test_damaged_configs_are_told(tmp_path, text, said):
    published.save_folder(tmp_path, published.huggingface_vit(OURS), {})
    (tmp_path / "config.json").write_text(text)
    if said is None:
        read_foreign(tmp_path, num_heads=2)
        return
    with pytest.raises(CheckpointError, match=said) as error:
        read_foreign(tmp_path, num_heads=2)
    assert str(tmp_path / "config.json") in str(error.value)


@pytest.mark.parametrize(
    ("processor", "said"),
    [
        ({"image_mean": 0.5, "image_std": 0.5, "rescale_factor": 0}, "rescale_factor is 0"),
        ({"image_mean": math.nan, "image_std": 0.5}, "not all finite"),
        ({"image_mean": 0.5, "image_std": [0.5, 0, 0.5]}, "no deviation"),
    ],
)
def test_preprocessors_that_no_picture_survives_are_told(tmp_path, processor, said):
    theirs = published.huggingface_vit(OURS)
    published.save_folder(tmp_path, theirs, published.config(None), processor)
    assert said in refused(tmp_path)


def test_without_pytorch_its_files_are_an_error_that_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "a.pth"
    path.write_bytes(b"\x80\x02anything")
    with pytest.raises(MachineError, match=r"pip install 'vidtx\[torch\]'"):
        read_foreign(path)
