"""Exported folders: they answer as the model does, without vidtx, and are weights like others."""

import hashlib
import json
import re
import shutil

import jax
import numpy as np
import pytest

from tests.inference.exporting import SCHEMES, checkpoint, run_without_vidtx
from tests.models import tiny
from vidtx.checkpoints.digests import named_leaves
from vidtx.errors import CheckpointError, ConfigError
from vidtx.inference import Preprocessing, load_pretrained, standalone
from vidtx.inference.export import export
from vidtx.inference.exported import read_manifest, verify
from vidtx.inference.sources import is_foreign, open_for

MODELS = [(scheme, "float32") for scheme in SCHEMES] + [("divided", "bfloat16")]
COUNTS = (1, 3, 5)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Exported folders by (scheme, dtype); not to be changed."""
    root = tmp_path_factory.mktemp("exports")
    made = {}
    for scheme, dtype in MODELS:
        run = checkpoint(root / f"{scheme}-{dtype}-run", scheme)
        made[scheme, dtype] = root / f"{scheme}-{dtype}"
        export(run, made[scheme, dtype], dtype=dtype)
    return made


@pytest.fixture(scope="session")
def one(folders):
    """One of them."""
    return folders["divided", "float32"]


@pytest.fixture
def copy(one, tmp_path):
    """A copy, which may be changed."""
    return shutil.copytree(one, tmp_path / "copy")


@pytest.fixture(scope="session")
def clips():
    """Uint8 clips as the tiny models are fed."""
    random = np.random.default_rng(1)
    return random.integers(0, 256, (max(COUNTS), *tiny.GRID[:1], 8, 16, 3), np.uint8)


def test_they_answer_without_vidtx_as_the_model_does(folders, clips, tmp_path):
    np.save(tmp_path / "clips.npy", clips)
    found = run_without_vidtx(
        f"""
        import numpy as np
        clips = np.load(sys.argv[1])
        found = []
        for folder in sys.argv[2:]:
            model = load(folder).Exported(folder)
            found.append([[one.tolist() for one in model(clips[:n])] for n in {COUNTS}])
        assert not {{"vidtx", "flax"}} & set(sys.modules)
        print(json.dumps(found))
        """,
        tmp_path / "clips.npy",
        *folders.values(),
    )
    for (scheme, dtype), answers in zip(folders, found, strict=True):
        loaded = load_pretrained(folders[scheme, dtype], dtype=dtype)
        frames = Preprocessing.of(loaded).normalized(clips)
        apply = jax.jit(lambda v, x, m=loaded.model: m.apply(v, x, return_features=True))
        logits, features = map(np.asarray, apply(loaded.variables, frames))
        tolerance = {"float32": 2e-6, "bfloat16": 2e-2}[dtype] * np.abs(logits).max()
        for count, (theirs, their_features) in zip(COUNTS, answers, strict=True):
            np.testing.assert_allclose(theirs, logits[:count], atol=tolerance, rtol=0)
            np.testing.assert_allclose(their_features, features[:count], atol=4 * tolerance, rtol=0)
        # Clips are told apart, or nothing was compared.
        assert np.abs(logits[0] - logits[1]).max() > 10 * tolerance


def test_a_folder_says_what_it_is(one):
    manifest = read_manifest(one)
    assert manifest["platforms"] == ["cpu", "cuda", "rocm", "tpu"]
    assert manifest["inputs"]["clips"] == {"dtype": "uint8", "shape": ["b", 4, 8, 16, 3]}
    assert manifest["outputs"]["logits"]["shape"] == ["b", tiny.CLASSES]
    assert manifest["outputs"]["features"]["shape"] == ["b", tiny.DIM]
    assert manifest["reference"]["difference"] <= manifest["reference"]["bounds"]["cpu"]
    there = {path.name for path in one.iterdir()}
    assert there == {*manifest["files"], "export.json"}
    assert "run.py" in there
    assert json.loads((one / "labels.json").read_text())[:2] == ["falling", "rising"]
    how = json.loads((one / "preprocessing.json").read_text())
    assert (how["stride"], how["channel_order"], how["temporal_views"]) == (3, "bgr", 2)
    assert how["mean"] == [0.4, 0.45, 0.5]
    told = how["meaning"].keys() | {"notes", "meaning"}
    assert told == how.keys()
    text = (one / "README.md").read_text()
    assert "divided attention" in text
    assert manifest["jax"] in text


def test_a_folder_is_weights_like_any_other(one, folders, tmp_path):
    original = load_pretrained(one.with_name(f"{one.name}-run"))
    again = load_pretrained(one)
    assert again.model == original.model
    assert dict(again.contract) == dict(original.contract)
    assert Preprocessing.of(again) == Preprocessing.of(original)
    theirs = named_leaves(original.variables)
    for name, leaf in named_leaves(again.variables).items():
        np.testing.assert_array_equal(leaf, theirs[name], err_msg=name)
    assert again.report.counts["used"] == len(theirs) == sum(again.report.counts.values())
    # As a run is begun with it (train.init_from), and as it is only looked at.
    assert is_foreign(one)
    for shapes_only in (False, True):
        source = open_for(one, again.model, shapes_only=shapes_only)
        assert source.architecture.scheme == "divided"
        assert {name: leaf.shape for name, leaf in source.params.items()} == {
            name.removeprefix("params."): leaf.shape for name, leaf in theirs.items()
        }
    with pytest.raises(ConfigError, match="num_heads is 4, and"):
        load_pretrained(one, num_heads=4)
    assert load_pretrained(one, channel_order="rgb").contract["data.channel_order"] == "rgb"
    # Changed on the way, as any other weights are.
    manifest = export(one, tmp_path / "again", views="1x1", num_classes=2, platforms=["cpu"])
    assert manifest["platforms"] == ["cpu"]
    assert manifest["outputs"]["logits"]["shape"] == ["b", 2]
    assert manifest["contract"]["head_is_new"]
    spec = Preprocessing.of(load_pretrained(tmp_path / "again")).clips
    assert (spec.temporal_views, spec.spatial_crops) == (1, 1)


def test_damage_is_found_and_named(copy, one):
    assert verify(copy).difference <= verify(copy).bound
    for name in read_manifest(copy)["files"]:
        data = bytearray((one / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{name} was changed"):
            verify(copy)
        (copy / name).write_bytes((one / name).read_bytes())
    (copy / "labels.json").unlink()
    (copy / "weights.safetensors").write_bytes((one / "weights.safetensors").read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"(?s)labels.json cannot be read.*safetensors has "):
        verify(copy)
    with pytest.raises(CheckpointError, match=r"weights.safetensors has \d+ bytes; \d+ were"):
        load_pretrained(copy)
    text = (one / "export.json").read_text()
    (copy / "export.json").write_text(text.replace('"bgr"', '"rgb"'))
    with pytest.raises(CheckpointError, match=r"export\.json was changed"):
        load_pretrained(copy)
    (copy / "export.json").write_text(text[:-9])
    with pytest.raises(CheckpointError, match=r"export\.json cannot be read"):
        load_pretrained(copy)
    (copy / "export.json").unlink()
    with pytest.raises(ConfigError, match="no exported folder"):
        verify(copy)


def seal(folder, **changes):
    """Writes a manifest with other values, as if it had been exported so."""
    manifest = standalone.read_manifest(folder) | changes
    for name in manifest["files"]:
        data = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["digest"] = standalone.digest_of(manifest)
    (folder / "export.json").write_text(json.dumps(manifest))


def test_one_that_answers_otherwise_is_refused(copy):
    with np.load(copy / "reference.npz") as file:
        arrays = dict(file)
    bound = read_manifest(copy)["reference"]["bounds"]["cpu"]
    arrays["logits"][-1, -1] += 4 * bound
    np.savez(copy / "reference.npz", **arrays)
    seal(copy)
    with pytest.raises(CheckpointError, match="answers otherwise here"):
        verify(copy)
    arrays["logits"][-1, -1] = np.nan
    np.savez(copy / "reference.npz", **arrays)
    seal(copy)
    with pytest.raises(CheckpointError, match="answers otherwise here"):
        verify(copy)
    # A later JAX has later versions of operations, which this one does not know.
    program = (copy / "program.jax_export").read_bytes()
    later = re.sub(rb"(dot_general_v)\d", rb"\g<1>9", program)
    assert later != program
    (copy / "program.jax_export").write_bytes(later)
    seal(copy)
    with pytest.raises(CheckpointError, match=r"cannot be run here.*\n.*written by JAX"):
        verify(copy)
    (copy / "program.jax_export").write_bytes(b"no program")
    seal(copy)
    with pytest.raises(CheckpointError, match=r"cannot be run here.*\n.*written by JAX"):
        verify(copy)
    seal(copy, format_version=2)
    with pytest.raises(CheckpointError, match="version 2; this vidtx reads"):
        load_pretrained(copy)


def test_nothing_is_left_of_one_that_cannot_be_made(folders, tmp_path):
    def spoilt(params):
        params["head"]["bias"] = params["head"]["bias"] * np.nan
        return params

    run = checkpoint(tmp_path / "run", change=spoilt)
    target = tmp_path / "target"
    with pytest.raises(CheckpointError, match="no finite numbers"):
        export(run, target)
    with pytest.raises(ConfigError, match="platforms is cpu, abacus; it must be of cpu"):
        export(run, target, platforms=["cpu", "abacus"])
    with pytest.raises(ConfigError, match="this is cpu, where the program could not"):
        export(run, target, platforms=["tpu"])
    assert not target.exists()
    assert not list(tmp_path.glob(".*"))
    target.mkdir()
    (target / "mine").write_text("")
    with pytest.raises(ConfigError, match="holds files"):
        export(run, target)
    assert [path.name for path in target.iterdir()] == ["mine"]
