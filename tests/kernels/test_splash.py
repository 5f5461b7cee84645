"""Splash attention: its blocks, and that TPUs' compiler takes it."""

import jax.numpy as jnp
import pytest

from tests.tiny_run import run_program
from vidtx.kernels import splash

CHIPS = ("v4:2x2x1", "v5e:1x1", "v5p:2x2x1", "v6e:1x1", "tpu7x:2x2x1")


@pytest.mark.parametrize(
    ("tokens", "block", "padded"),
    [(40, 128, 128), (197, 256, 256), (785, 896, 896), (1569, 896, 1792), (12545, 1024, 13312)],
)
def test_blocks_weigh_padding_against_their_number(tokens, block, padded):
    found = splash.block_size(tokens, head_dim=64, dtype=jnp.bfloat16)
    assert (found, -(-tokens // found) * found) == (block, padded)


@pytest.mark.parametrize(
    ("head_dim", "dtype", "largest"),
    [(64, "bfloat16", 1024), (128, "bfloat16", 1024), (64, "float32", 512), (256, "bfloat16", 512)],
)
def test_blocks_of_wide_rows_are_smaller(head_dim, dtype, largest):
    blocks = {splash.block_size(n, head_dim=head_dim, dtype=dtype) for n in range(1, 9000, 37)}
    assert {block % splash.LANES for block in blocks} == {0}
    assert max(blocks) == largest


def compiled(*cases):
    return run_program("tests.kernels.on_a_tpu", *cases, devices=1)


def test_the_compiler_takes_it_and_stores_no_logits():
    case = "v5e:1x1,1,2,1100,1100,1,64,bfloat16"
    found = compiled(case)[case]
    assert found["kernels"] == [
        "splash_mha_dkv_segmented_no_residuals",
        "splash_mha_fwd_segmented_residuals",
    ]
    assert found["temp_bytes"] < 2 * 1100 * 1100 * 4


@pytest.mark.slow
def test_largest_blocks_fit_every_chip():
    """Of the widest rows that take them; float32 takes half of them."""
    lengths = "1,1,2048,2048,2"
    cases = [
        f"{chip},{lengths},{width}{split}"
        for chip in CHIPS
        for width in ("128,bfloat16", "128,float32", "256,float32")
        for split in ("", ",split")
    ]
    found = compiled(*cases)
    for case in cases:
        kernels = {name.split("_")[2] for name in found[case]["kernels"]}
        assert kernels == {"fwd", "dkv", *(["dq"] if "split" in case else [])}
