"""Clips and heads split over devices: what the compiled programs say to each other, and give."""

import math
import re

import pytest

from tests.contracts import sequence_on_eight as program
from tests.contracts.collectives import Collective, collectives
from tests.models import tiny
from tests.tiny_run import run_program

TOLERANCE = 1e-5
PARTS = program.ALL
# Elements of one device's patches of the train step, and of one token of each of its clips.
LOCAL = 14 * program.FRAMES * program.POSITIONS * program.DIM // 4
TOKEN = 14 * program.DIM

STEPS = pytest.mark.parametrize("step", program.STEPS)
SCHEMES = pytest.mark.parametrize("scheme", tiny.SCHEMES)


@pytest.fixture(scope="module")
def found():
    return run_program("tests.contracts.sequence_on_eight", devices=8)


def said(entry, kind):
    """Elements of each array of a kind of collective, of activations and of the rest."""
    sizes = [size for name, size in entry["collectives"] if name == kind]
    return [size for size in sizes if size % 7 == 0], [size for size in sizes if size % 7]


def test_the_reader_of_programs_reads():
    text = """
      %x = (f32[2,3]{1,0}, f32[2,3]{1,0}) all-to-all(%a, %b), replica_groups={{0,1}}
      %y = bf16[8]{0} all-gather-start(%c), channel_id=1
      %z = (f32[]{:T(128)}, f32[4,4]{1,0}) all-reduce(%d, %e), to_apply=%all-gather-like
    """
    assert collectives(text) == [
        Collective("all-to-all", 12),
        Collective("all-gather", 8),
        Collective("all-reduce", 1),
        Collective("all-reduce", 16),
    ]


@STEPS
def test_divided_attention_moves_its_patches_four_times_a_layer(found, step):
    """Two all-to-alls forward and two backward, each of what one device has: the ideal volume."""
    assert said(found["steps"][step], "all-to-all") == ([LOCAL] * 4 * program.DEPTH, [])


@STEPS
def test_no_activation_is_gathered(found, step):
    gathered, weights = said(found["steps"][step], "all-gather")
    assert gathered == []
    # With fsdp every weight is; without, only the gradient of the time embedding.
    assert (len(weights) > 20) == ("fsdp" in program.STEPS[step])
    assert sum(weights) == program.FRAMES * program.DIM or "fsdp" in program.STEPS[step]


@STEPS
def test_of_activations_only_class_tokens_are_summed(found, step):
    summed, weights = said(found["steps"][step], "all-reduce")
    # A token of each clip, or its query, key and value.
    assert set(summed) <= {TOKEN, 3 * TOKEN}
    assert len(summed) <= 2 * program.DEPTH
    assert sum(weights) > 0  # the gradients, so that the reader has seen the program
    assert said(found["steps"][step], "reduce-scatter")[0] == []
    assert said(found["steps"][step], "collective-permute")[0] == []


@STEPS
def test_the_lowered_program_places_the_residual_stream(found, step):
    """Before and after the time step, positions split; forward and backward."""
    placed = found["steps"][step]["placed"]
    rows, dims = program.ROWS, f"x{program.DIM}xf32"
    shape = f"tensor<{rows}x{program.FRAMES}x{program.POSITIONS}x1{dims}>"
    positions = ['[{"data", "fsdp"}, {}, {"sequence"}, {}, {}]', shape]
    frames = ['[{"data", "fsdp"}, {"sequence"}, {}, {}, {}]', shape]
    assert placed.count(positions) == 4 * program.DEPTH
    assert placed.count(frames) == 4 * program.DEPTH
    clips = rf"tensor<{rows}x{program.FRAMES}x32x32x3xf32>"
    assert [frames[0], clips] in placed
    assert not any(re.search("positions", layout) for layout, _ in placed)


@SCHEMES
def test_a_mesh_that_splits_everything_changes_nothing(found, scheme):
    """Logits and all gradients, as of the reference in NumPy; on a grid that does not divide."""
    error, where = found["all"][scheme]["error"]
    assert error < TOLERANCE, where


def local(*shape, frames=False):
    """Elements of patches of one device, frames or tokens rounded up."""
    rows = program.BATCH // PARTS["fsdp"]
    count, *rest = shape
    return rows * -(-count // (PARTS["sequence"] if frames else 1)) * math.prod(rest)


@SCHEMES
def test_heads_and_hidden_units_cost_two_sums_a_step_and_two_an_mlp(found, scheme):
    """One forward and one backward each, of patches; a scanned block is there once."""
    frames, rows, columns = program.UNEVEN
    steps = len(tiny.dense_reference.STEPS[scheme])
    by_frames = local(frames, rows * columns, tiny.DIM, frames=True)
    by_positions = local(rows * columns, frames, tiny.DIM, frames=True)
    summed, _ = said(found["all"][scheme], "all-reduce")
    large = [size for size in summed if size >= by_positions]
    time = "time" in tiny.dense_reference.STEPS[scheme]
    wanted = [by_frames] * (2 * (steps + 1 - time)) + [by_positions] * (2 * time)
    assert sorted(large) == sorted(wanted)


@pytest.mark.parametrize(
    ("scheme", "gathers"),
    # Groups and tokens of the steps that split queries, tokens padded to an even number.
    [("joint", [(1, 28)]), ("sparse_local_global", [(4, 12), (8, 8)])],
)
def test_split_queries_gather_keys_and_values_alone(found, scheme, gathers):
    """Of a device's heads; and their gradients are scattered while they are summed."""
    rows, width = program.BATCH // PARTS["fsdp"], tiny.DIM // PARTS["tensor"]
    gathered, _ = said(found["all"][scheme], "all-gather")
    scattered, _ = said(found["all"][scheme], "reduce-scatter")
    sizes = [rows * groups * tokens * width for groups, tokens in gathers]
    assert sorted(scattered) == sorted(size // PARTS["sequence"] for size in sizes * 2)
    for size in sizes:
        assert gathered.count(size) >= 2
    if scheme == "joint":
        assert len(gathered) == 2


@pytest.mark.parametrize("scheme", ["space", "divided"])
def test_split_groups_gather_nothing(found, scheme):
    assert said(found["all"][scheme], "all-gather")[0] == []


@pytest.mark.slow
def test_no_mesh_changes_anything():
    """Every scheme on every mesh against one device, with paths dropped; splash on both."""
    found = run_program("tests.contracts.sequence_on_eight", "every", devices=8)
    assert len(found) == len(tiny.SCHEMES) * len(program.MESHES) + 2 * len(program.KERNELS)
    assert {name: error for name, error in found.items() if error[0] >= TOLERANCE} == {}
