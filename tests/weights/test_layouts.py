"""The tables of layouts: against names written down by hand, and back."""

import numpy as np
import pytest

from tests.weights import published
from vidtx.weights import LAYOUTS

PUBLISHED = {
    "google": ("space", published.google),
    "timm": ("space", published.timm),
    "hf_vit": ("space", published.huggingface_vit),
    "hf_vit_5": ("space", published.huggingface_vit_5),
    "timesformer": ("divided", published.official),
    "hf_timesformer": ("divided", published.huggingface),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_written_is_what_is_published(name):
    scheme, publish = PUBLISHED[name]
    ours = published.params(scheme)
    wanted = publish(ours)
    written = LAYOUTS[name].write(ours, num_heads=published.HEADS)
    assert written.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(written[key], array, key)
        assert written[key].flags.c_contiguous


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_was_written_is_read_bit_by_bit(name):
    scheme, _ = PUBLISHED[name]
    layout, ours = LAYOUTS[name], published.params(scheme)
    # Numbers that arithmetic would not leave alone.
    ours["norm.scale"] = np.array([0.0, -0.0, np.inf, np.nan, 1e-45] * 4, np.float32)[:16]
    written = layout.write(ours, num_heads=published.HEADS)
    match = layout.match(written)
    assert not match.unknown
    assert not match.dropped
    read = {
        our: layout.read(
            our,
            [written[match.found[our, place][0]] for place in range(len(layout.theirs(our)))],
        )
        for our in match.names
    }
    published.assert_equal(read, ours)


def test_layouts_that_can_be_written_are_all_tested():
    assert PUBLISHED.keys() == {name for name, layout in LAYOUTS.items() if layout.writes}


def test_no_array_is_in_two_rows():
    for layout in LAYOUTS.values():
        ours = [row.ours for row in layout.rows]
        theirs = [name for row in layout.rows for name in row.theirs]
        assert len(set(ours)) == len(ours)
        assert len(set(theirs)) == len(theirs)


def test_what_a_layout_cannot_hold_is_not_written():
    with pytest.raises(ValueError, match=r"no place for block_0\.local\.attention\.out\.bias"):
        LAYOUTS["hf_timesformer"].write(published.params("sparse_local_global"))
    with pytest.raises(ValueError, match="num_heads must be given"):
        LAYOUTS["google"].write(published.params("space"))
    with pytest.raises(ValueError, match="can be read only"):
        LAYOUTS["timm_distilled"].write(published.params("space"))
