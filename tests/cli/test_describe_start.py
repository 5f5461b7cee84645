"""``vidtx describe``: what it tells of the weights that a run is to begin with."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from data_pipelines.records import describe as describe_data_set
from tests.cli.described import options
from tests.parity import foreign
from vidtx.checkpoints import CheckpointStore
from vidtx.inference import convert
from vidtx.inference.load import nested
from vidtx.run.contract import contract_of
from vidtx.run.describe_start import describe_init_from
from vidtx.run.setup import model_of
from vidtx.weights.match import parameter_shapes


@pytest.fixture
def begun(spec_of, motions_dir, tmp_path):
    """A run directory with weights of the run that is described, and the names of its classes."""
    spec = spec_of(motions_dir)
    names = describe_data_set("motions:2.0.0", motions_dir).class_names
    shapes = parameter_shapes(model_of(spec, len(names)))
    params = nested({name: np.zeros(leaf.shape, np.float32) for name, leaf in shapes.items()})
    with CheckpointStore(tmp_path, contract=contract_of(spec, names, "fingerprint")) as store:
        store.save(7, {"step": np.int32(7), "params": params})
    return tmp_path, names


def test_what_a_run_would_begin_with(spec_of, motions_dir, begun):
    run, names = begun

    def look(source=run, names=names, **changes):
        return describe_init_from(spec_of(motions_dir, **changes), source, names)

    found = look(**{"data.stride": 1}).facts
    assert (found["step"], found["dataset"], found["classes"]) == (7, "motions", 8)
    assert (found["layout"], found["scheme"]) == ("vidtx checkpoint", "joint")
    assert found["head_fits"] is True
    assert "data.stride: 2 then, 1 now" in " ".join(found["notes"])
    assert sum(found["arrays"].values()) == found["arrays"]["used"] == 21
    assert look(names=names[::-1]).facts["head_fits"] is False
    assert look(names=None).facts["head_fits"] is None
    (refused,) = look(**{"data.channel_order": "bgr"}).refusals
    assert "data.channel_order" in str(refused)
    (refused,) = look(run / "absent").refusals
    assert "There is no file or folder" in str(refused)


def test_what_would_be_taken_of_weights_of_another_model(command, spec_of, motions_dir, begun):
    run, _ = begun
    line = ["describe", "--config=motions", f"--config.train.init_from={run}"]
    changes = {"model.scheme": "divided", "data.frames": 6}
    text = command(*line, *options(motions_dir, **changes)).out
    assert f"weights of {run}/checkpoints/7: timesformer_ti8 (joint), 8 classes of motions" in text
    assert "resized  embedding.time: 4 → 6 frames, the nearest" in text
    assert "copied   block_*.time.norm.bias from block_*.norm1.bias" in text
    other = options(motions_dir, **{"model.num_heads": 4, "model.depth": 2})
    refused = command(*line, *other, code=6)
    assert "num_heads: 2 there, 4 in the model" in refused.out
    assert "depth: 1 there, 2 in the model" in refused.out


def test_a_damaged_checkpoint_would_be_passed_over(spec_of, motions_dir, begun):
    run, names = begun
    shutil.copytree(run / "checkpoints" / "7", run / "checkpoints" / "9")
    (run / "checkpoints" / "9" / "state" / "_METADATA").write_text("{")
    found = describe_init_from(spec_of(motions_dir), run, names)
    assert (found.facts["step"], found.refusals) == (7, ())
    assert "9 is damaged" in found.facts["notes"][0]
    shutil.rmtree(run / "checkpoints" / "7")
    (refused,) = describe_init_from(spec_of(motions_dir), run, names).refusals
    assert "9 is damaged" in str(refused)


def test_what_would_be_taken_of_another_library_s_weights(spec_of, motions_dir, tmp_path):
    size = foreign.Size(dim=32, depth=1, heads=2, patch=8, grid=(1, 2, 2), classes=8)
    arrays = foreign.weights(foreign.shapes_of("timm_vit", size))
    path = foreign.write(tmp_path, "timm_vit", arrays, size)
    found = describe_init_from(spec_of(motions_dir), path, None)
    assert found.refusals == ()
    facts = found.facts
    assert (facts["checkpoint"], facts["step"], facts["scheme"]) == (str(path), None, "images")
    assert (facts["classes"], facts["head_fits"]) == (8, False)
    assert facts["arrays"]["resized"] == 1
    assert "timm" in facts["layout"]
    assert "4×4 patches, nearest in 2-D" in " ".join(facts["notes"])


def converted(folder, **changes):
    """Weights of an image model, made into those of a TimeSformer that the described run trains."""
    size = foreign.Size(dim=32, depth=1, heads=2, patch=8, grid=(1, 4, 4), classes=8)
    arrays = foreign.weights(foreign.shapes_of("huggingface_vit", size))
    path = foreign.write(folder / "vit", "huggingface_vit", arrays, size)
    processor = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    convert(path, folder / "start", **changes)
    return folder / "start"


def test_a_head_that_a_conversion_made_begins_anew(spec_of, motions_dir, begun, tmp_path):
    names = begun[1]
    changes = {"scheme": "divided", "num_frames": 4, "num_classes": 9}
    first = converted(tmp_path, **changes)
    path = tmp_path / "again"
    # Also under the names of the run's own classes, and through a format of another library.
    convert(first, tmp_path / "exported", to="huggingface", num_classes=8, class_names=names)
    report = convert(tmp_path / "exported", path)
    assert any("begun at random by a conversion" in note for note in report.notes)
    for source in (tmp_path / "exported", path):
        found = describe_init_from(spec_of(motions_dir), source, names)
        assert (found.refusals, found.facts["head_fits"]) == ((), False)
        assert "begins anew: a conversion began it at random" in found.facts["notes"][-1]
    # Whoever trains the export keeps what is on record in it.
    file = tmp_path / "exported" / "model.safetensors"
    arrays = safetensors.numpy.load_file(file)
    safetensors.numpy.save_file(arrays | {"classifier.bias": np.ones(8, np.float32)}, file)
    found = describe_init_from(spec_of(motions_dir), tmp_path / "exported", names)
    assert found.facts["head_fits"] is True


@pytest.mark.parametrize("changes", [{}, {"scheme": "divided", "num_frames": 4}])
def test_means_of_pictures_never_refuse_a_run(spec_of, motions_dir, begun, tmp_path, changes):
    start = converted(tmp_path, **changes)
    spec = spec_of(motions_dir, **{"data.mean": "(0.1, 0.1, 0.1)", "data.channel_order": "bgr"})
    for source in (tmp_path / "vit", start):
        found = describe_init_from(spec, source, begun[1])
        assert (found.refusals, found.facts["head_fits"]) == ((), False)
        told = " ".join(found.facts["notes"])
        assert "trained on pictures alone" in told
        assert "data.mean" in told
        assert "kinds of pictures apart" in told


def test_a_model_of_the_hub_is_told_and_not_fetched(command, tmp_path):
    name = "hf:nobody/none"
    line = ["describe", "--config=motions", f"--config.train.init_from={name}", *options()]
    text = command(*line).out
    expected = f"weights of {name}: not looked at: it would be fetched when the run begins"
    assert expected in text.splitlines()
