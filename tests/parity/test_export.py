"""vidtx writes what transformers loads: its weights come back to it bit for bit."""

import numpy as np
import pytest
import safetensors.numpy

import vidtx.inference

from . import converted, foreign

EXTRA = "pip install 'vidtx[parity]'"
torch = pytest.importorskip("torch", reason=EXTRA)
pytest.importorskip("transformers", reason=EXTRA)

from . import torch_models  # noqa: E402


def saved(folder, scheme):
    """A folder as transformers saves it, and its model; numbers among it that are easily lost."""
    model = torch_models.make(scheme)
    for parameter in model.parameters():
        parameter.data.view(-1)[:2] = torch.tensor([-0.0, 1e-42])
    model.save_pretrained(folder)
    return folder, model


def logits(model, grid):
    with torch.no_grad():
        clips = torch_models.channels_first(foreign.clips(grid), model)
        return torch_models.corrected(model, clips).numpy()


@pytest.mark.parametrize("through_a_checkpoint", [False, True], ids=["at once", "by checkpoint"])
@pytest.mark.parametrize("scheme", foreign.SCHEMES)
def test_a_round_trip_changes_no_bit(scheme, through_a_checkpoint, tmp_path):
    folder, model = saved(tmp_path / "saved", scheme)
    source = folder
    if through_a_checkpoint:
        source = tmp_path / "checkpoint"
        vidtx.inference.convert(folder, source, to="vidtx")
    vidtx.inference.convert(source, tmp_path / "back", to="huggingface")

    before, after = (
        safetensors.numpy.load_file(path / "model.safetensors")
        for path in (folder, tmp_path / "back")
    )
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert (array.dtype, array.shape) == (after[name].dtype, after[name].shape), name
        assert array.tobytes() == after[name].tobytes(), name
    # `load` refuses a folder with an array too many or too few.
    loaded = torch_models.load(tmp_path / "back")
    for name, array in model.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[name]), name
    grid = foreign.GRIDS["trained"]
    np.testing.assert_array_equal(logits(loaded, grid), logits(model, grid))


@pytest.mark.parametrize("scheme", foreign.SCHEMES)
def test_transformers_and_vidtx_agree_on_what_vidtx_wrote(scheme, tmp_path):
    # Of other sizes than those that the weights came in, and with a head that vidtx began.
    grid = frames, rows, columns = (6, 3, 3)
    assert rows == columns
    folder, _ = saved(tmp_path / "saved", scheme)
    changes = {"num_frames": frames, "image_size": rows * foreign.TINY.patch, "num_classes": 7}
    vidtx.inference.convert(folder, tmp_path / "checkpoint", to="vidtx", **changes)
    vidtx.inference.convert(tmp_path / "checkpoint", tmp_path / "written", to="huggingface")

    theirs = torch_models.load(tmp_path / "written")
    model, variables = vidtx.load(tmp_path / "checkpoint")
    found = converted.tiny.forward(model)(variables["params"], foreign.clips(grid))
    converted.assert_near(found, logits(theirs, grid))
    if scheme != "space_only":
        # Written for these sizes, transformers by itself is right as well.
        with torch.no_grad():
            own = theirs(torch_models.channels_first(foreign.clips(grid), theirs)).logits.numpy()
        converted.assert_near(found, own)
