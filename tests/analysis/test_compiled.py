"""Costs of small programs for a v5e, against counts by hand."""

import pytest

from vidtx.analysis.chips import CHIPS
from vidtx.analysis.compiled import count_costs
from vidtx.analysis.hlo import read_program, read_shapes

MIB = 2**20


@pytest.fixture
def costs(programs):
    """Returns f(name) -> costs of a program."""
    return lambda name: count_costs(read_program(programs[name]["text"]), 4)


def test_a_product(costs, programs):
    found = costs("product")
    assert found.flops == 2 * 256 * 512 * 128 == programs["product"]["flops"]
    assert found.hbm_bytes == 2 * (256 * 512 + 512 * 128 + 256 * 128)
    assert found.accessed_bytes > found.hbm_bytes  # it goes by way of vector memory
    assert found.cycles > 0
    assert (found.loops, found.kernels, found.collectives) == ((), (), ())


def test_whole_tiles_are_read_and_written(costs):
    # Tiles are of 8×128 elements: 100×100 of them are stored as 104×128.
    assert costs("add_one").hbm_bytes == 2 * 4 * 104 * 128


def test_a_product_of_many_groups_counts_what_meets_data(costs, programs):
    # Which is written as a convolution with a window that reaches over the edges.
    found = costs("in_groups")
    assert found.flops == 2 * 24 * 64 * 64 * 32 == programs["in_groups"]["flops"]


@pytest.mark.parametrize(
    ("name", "loops", "trips"), [("repeated", (7,), 7), ("doubly_repeated", (3, 5), 15)]
)
def test_loops_are_multiplied_out(costs, programs, name, loops, trips):
    found = costs(name)
    assert sorted(found.loops) == sorted(loops)
    assert found.unknown_loops == 0
    assert found.flops == trips * 2 * 512**3
    assert programs[name]["flops"] < 2 * found.flops / trips  # XLA's own count: once
    assert found.cycles > found.flops / CHIPS["v5e"].flops_per_cycle  # all trips take time


def test_a_loop_that_depends_on_data_is_said_to_be_unknown(costs):
    found = costs("until_small")
    assert (found.loops, found.unknown_loops) == ((), 1)


def test_a_loop_over_layers_reads_each_layer_once(costs):
    layers, carried = 12 * 8 * MIB, 2 * 8 * MIB
    assert costs("of_layers").hbm_bytes == pytest.approx(layers + carried, rel=1e-3)


def test_kernels_are_counted_by_their_operands(costs, programs):
    found = costs("attention")
    product = 2 * 2 * 512 * 512 * 128  # heads, tokens, width
    assert sorted(kernel.flops for kernel in found.kernels) == [
        2 * product,
        3 * product,
        4 * product,
    ]
    assert {kernel.times for kernel in found.kernels} == {1}
    assert found.flops == 9 * product
    assert programs["attention"]["flops"] < product  # XLA's own count leaves them out


@pytest.mark.parametrize(
    ("name", "kind", "group", "size", "sent"),
    [
        # A sum goes round a ring of n twice, (n - 1) / n of it each time.
        ("psum", "all-reduce", 4, 256 * 128 * 4, 2 * 3 / 4),
        ("psum_of_two", "all-reduce", 2, 256 * 128 * 4, 2 * 1 / 2),
        ("gather", "all-gather", 2, 1024 * 128 * 4, 1 / 2),
        ("scatter", "reduce-scatter", 4, 1024 * 128 * 4, 3 / 4),
        ("exchange", "all-to-all", 4, 256 * 1024 * 4, 3 / 4),
        ("shift", "collective-permute", 2, 512 * 128 * 4, 1),
    ],
)
def test_communication(costs, name, kind, group, size, sent):
    (found,) = costs(name).collectives
    assert (found.kind, found.group, found.bytes, found.times) == (kind, group, size, 1)
    assert found.wire_bytes == pytest.approx(sent * size)
    assert found.is_async == (name == "shift")  # of these, the compiler starts that alone early


def test_two_on_one_channel_are_two(costs):
    kinds = [(one.kind, one.bytes, one.times) for one in costs("scatter_two").collectives]
    assert kinds == [("reduce-scatter", 1024 * 128 * 4, 1)] * 2


def test_arguments_take_what_the_compiler_says(programs):
    assert len(programs) > 10
    for name, one in programs.items():
        program = read_program(one["text"])
        parameters = program.computations[program.entry].parameters.values()
        held = sum(shape.padded_bytes for each in parameters for shape in each.shapes)
        # Each begins at a multiple of 512 bytes.
        assert held == pytest.approx(one["argument_bytes"], abs=512 * len(parameters)), name


@pytest.mark.parametrize(
    ("text", "padded"),
    [
        ("f32[100,100]{1,0:T(8,128)}", 104 * 128 * 4),
        ("f32[100,100]{0,1:T(8,128)S(1)}", 104 * 128 * 4),
        ("bf16[3,5,7]{2,0,1:T(4,128)(2,1)}", 5 * 4 * 128 * 2),
        ("s32[]{:T(128)}", 128 * 4),
        ("pred[9]{0:T(512)}", 512),
        ("f32[6,6]{1,0}", 36 * 4),
        ("token[]", 0),
    ],
)
def test_memory_of_a_shape(text, padded):
    (shape,) = read_shapes(text)
    assert shape.padded_bytes == padded


def test_shapes_of_a_tuple():
    shapes = read_shapes("(bf16[2,3]{1,0:T(8,128)(2,1)S(1)}, /*index=1*/(u32[]{:S(2)}, f32[4]))")
    assert [(one.dtype, one.dims, one.space) for one in shapes] == [
        ("bf16", (2, 3), 1),
        ("u32", (), 2),
        ("f32", (4,), 0),
    ]


def test_other_text_is_refused():
    with pytest.raises(ValueError, match="no text of a compiled program"):
        read_program("module @jit_step {\n}\n")
