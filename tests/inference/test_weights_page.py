"""Every command and every program of docs/weights.md, on tiny files of the names that it takes."""

import importlib.util
import re
import shlex

import huggingface_hub.constants
import numpy as np
import pytest
import safetensors.numpy

from tests.parity import foreign
from tests.tiny_run import ROOT
from vidtx.checkpoints import BestStore
from vidtx.cli import main
from vidtx.inference import convert
from vidtx.inference.load import nested
from vidtx.weights import LAYOUTS

from . import folders

PAGE = (ROOT / "docs" / "weights.md").read_text()
COMMANDS = sorted(set(re.findall(r"^    vidtx (convert .*)$", PAGE, flags=re.MULTILINE)))
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
REPORT = re.search(
    r"^    vidtx (convert [^\n]*)\n\nprints[^\n]*:\n\n"
    r"<!-- report: begin -->\n(.*?)\n<!-- report: end -->",
    PAGE,
    flags=re.MULTILINE | re.DOTALL,
)

# As the files have them, but narrow: widths of which the number of heads is known, or a file that
# says it. The example's blocks are as many as those of the file that it is about.
GRID = (8, 14, 14)
NARROW = foreign.Size(dim=24, heads=2, patch=16, grid=GRID, classes=400)
TOLD_BY_WIDTH = foreign.Size(dim=192, depth=1, heads=3, patch=16, grid=GRID, classes=400)
OF_BASE_DEPTH = foreign.Size(dim=192, depth=12, heads=3, patch=16, grid=GRID, classes=1000)


def ours(model, size):
    """Weights by our names."""
    return folders.params(foreign.weights(foreign.timesformer_shapes(model, size)))


def google(path):
    arrays = LAYOUTS["google"].write(ours("space_only", NARROW), num_heads=2)
    of_pretraining = {"kernel": (24, 24), "bias": (24,)}
    arrays |= {f"pre_logits/{k}": np.zeros(v, np.float32) for k, v in of_pretraining.items()}
    np.savez(path, **arrays)


def on_hub(folder, name, model, size):
    """A model as huggingface_hub keeps one that was downloaded."""
    kept = folder / f"models--{name.replace('/', '--')}"
    commit = "0" * 40
    arrays = foreign.weights(foreign.shapes_of(model, size))
    foreign.write(kept / "snapshots" / commit, model, arrays, size)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder with everything that the page reads, and a kept Hub; not to be changed."""
    place = tmp_path_factory.mktemp("page")
    google(place / "B_16.npz")
    arrays = foreign.weights(foreign.image_shapes("timm_vit", OF_BASE_DEPTH))
    safetensors.numpy.save_file(arrays, place / "vit_base_patch16_224.safetensors")
    of_174 = foreign.Size(dim=192, depth=1, heads=3, patch=16, grid=GRID, classes=174)
    official = LAYOUTS["timesformer"].write(ours("divided_space_time", of_174))
    safetensors.numpy.save_file(official, place / "mine174.safetensors")
    if importlib.util.find_spec("torch"):
        import torch

        def saved(arrays):
            return {name: torch.from_numpy(array) for name, array in arrays.items()}

        arrays = LAYOUTS["timesformer"].write(ours("divided_space_time", TOLD_BY_WIDTH))
        state = {"epoch": 25, "model_state": saved(arrays), "cfg": "MODEL:\n  NUM_CLASSES: 400\n"}
        torch.save(state, place / "TimeSformer_divST_8x32_224_K400.pyth")
        arrays = foreign.weights(foreign.image_shapes("timm_vit", TOLD_BY_WIDTH))
        torch.save(saved(arrays), place / "jx_vit_base_p16_224-80ecf9dd.pth")

    hub = place / "hub"
    k400 = "facebook/timesformer-base-finetuned-k400"
    on_hub(hub, k400, "divided_space_time", NARROW)
    on_hub(hub, "facebook/timesformer-base-finetuned-ssv2", "divided_space_time", of_174)
    on_hub(hub, "google/vit-base-patch16-224-in21k", "huggingface_vit", NARROW)
    on_hub(hub, "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", "timm_vit", TOLD_BY_WIDTH)
    convert(next(hub.glob(f"*k400/snapshots/{'0' * 40}")), place / "k400")
    run = place / "runs" / "k400"
    convert(place / "k400", run)
    state = {"step": np.int32(7), "params": nested(ours("divided_space_time", NARROW))}
    contract = {"model.scheme": "divided", "model.num_heads": 2, "data.image_size": [224, 224]}
    with BestStore(run, keep=1, contract=contract) as best:
        best.offer(7, 0.5, state)
    (place / "kinetics400.txt").write_text("\n".join(f"class {row}" for row in range(400)))
    return place


@pytest.fixture
def beside_sources(sources, tmp_path, monkeypatch):
    """Returns f(without) that goes to a folder of all that is read, but for one name."""

    def go(without=None):
        for path in sources.iterdir():
            if path.name != without:
                (tmp_path / path.name).symlink_to(path)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(sources / "hub"))
    return go


def test_the_page_has_commands_and_programs():
    assert len(COMMANDS) >= 15
    assert len(PROGRAMS) == 3


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("how", ["dry", pytest.param("as it is", marks=pytest.mark.slow)])
def test_a_command_does_what_it_is_for(line, how, beside_sources, capsys):
    _, source, target, *options = arguments = shlex.split(line)
    if source.endswith((".pyth", ".pth")):
        pytest.importorskip("torch", reason="pip install 'vidtx[torch]'")
    folder = beside_sources(without=target)
    dry = how == "dry" or "--dry_run" in options
    assert main([*arguments, *["--dry_run"] * dry]) == 0, capsys.readouterr().err
    assert dry is not (folder / target).exists()
    if not dry:
        kind = "config.json" if "--to=huggingface" in options else "checkpoints"
        assert {"conversion.json", kind} <= {path.name for path in (folder / target).iterdir()}


def test_the_report_is_what_its_command_prints(beside_sources, capsys):
    beside_sources(without="hr")
    assert main(shlex.split(REPORT[1])) == 0
    printed = capsys.readouterr().out.rstrip()
    assert REPORT[2] == "\n".join(f"    {line}" for line in printed.splitlines())


def test_programs_run(beside_sources):
    beside_sources(without="exported")
    names = {}
    has = importlib.util.find_spec("transformers")
    for program in PROGRAMS if has else PROGRAMS[:2]:
        exec(program, names)
    assert names["logits"].shape == (1, 400)
    assert names["clips"].shape == (1, 16, 224, 224, 3)


def test_something_something_is_taken_for_bgr_as_the_page_says(beside_sources, capsys):
    beside_sources()
    assert main(["convert", "mine174.safetensors", "a", "--dry_run"]) == 0
    assert "blue, green, red" in capsys.readouterr().out
