import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny_run import run_program
from vidtx.training.mixing import draw_mix, mix_clips, mix_targets

SIZE = (12, 16)


@functools.cache
def drawn(batch=8000, seed=0, size=SIZE, *, mixup=0.0, cutmix=0.0):
    return draw_mix(jax.random.key(seed), batch, size, mixup=mixup, cutmix=cutmix)


def some_clips(batch):
    return np.random.RandomState(1).normal(size=(batch, 3, *SIZE, 3)).astype(np.float32)


def some_targets(batch, classes=5):
    return np.eye(classes, dtype=np.float32)[np.random.RandomState(2).randint(0, classes, batch)]


BOTH = drawn(16, mixup=0.8, cutmix=1.0)


def mixed_by_hand(clips, targets, mix):
    clips_out, targets_out = np.empty_like(clips), np.empty_like(targets)
    for row in range(len(clips)):
        partner = row + 1 if row % 2 == 0 else row - 1
        share = np.asarray(mix.share)[row]
        targets_out[row] = share * targets[row] + (1 - share) * targets[partner]
        if mix.is_cutmix[row]:
            top, bottom, left, right = np.asarray(mix.box)[row]
            clips_out[row] = clips[row]
            for frame in range(clips.shape[1]):
                clips_out[row, frame, top:bottom, left:right] = clips[
                    partner, frame, top:bottom, left:right
                ]
        else:
            clips_out[row] = share * clips[row] + (1 - share) * clips[partner]
    return clips_out, targets_out


@pytest.mark.parametrize(
    "mix", [BOTH, drawn(16, mixup=0.3), drawn(16, cutmix=0.7)], ids=["both", "mixup", "cutmix"]
)
def test_neighbours_are_mixed_as_written_out_by_hand(mix):
    clips, targets = some_clips(16), some_targets(16)
    expected_clips, expected_targets = mixed_by_hand(clips, targets, mix)
    found = mix_clips(clips, mix)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected_clips, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mix_targets(targets, mix), expected_targets, rtol=1e-6)


def test_cut_pixels_are_those_of_one_clip_or_the_other_to_the_bit():
    clips = some_clips(16)
    found = np.asarray(mix_clips(clips, drawn(16, cutmix=1.0)))
    partners = clips.reshape(8, 2, *clips.shape[1:])[:, ::-1].reshape(clips.shape)
    own, foreign = found == clips, found == partners
    assert (own ^ foreign).all()
    # The share of the target is the share of the pixels, in every frame.
    shares = own.mean(axis=(2, 3, 4))
    expected = np.broadcast_to(drawn(16, cutmix=1.0).share[:, None], shares.shape)
    np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_a_pair_keeps_between_its_two_all_that_it_had():
    clips, targets = some_clips(16), some_targets(16)

    def sums(x):
        return np.asarray(x, np.float64).reshape(8, 2, -1).sum(axis=1)

    np.testing.assert_allclose(sums(mix_clips(clips, BOTH)), sums(clips), atol=1e-5)
    np.testing.assert_allclose(sums(mix_targets(targets, BOTH)), sums(targets), atol=1e-6)


def test_targets_of_one_class_still_sum_to_one():
    smoothed = 0.9 * some_targets(16) + 0.1 / 5
    found = mix_targets(smoothed, BOTH)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-6)


def test_targets_of_many_classes_are_mixed_class_by_class():
    targets = np.float32([[1, 1, 0, 0], [0, 1, 1, 0]])
    mix = jax.tree.map(lambda leaf: leaf[:2], drawn(16, mixup=1.0))
    a = float(mix.share[0])
    found = mix_targets(targets, mix)
    np.testing.assert_allclose(found, [[a, 1, 1 - a, 0], [1 - a, 1, a, 0]], rtol=1e-6)


def test_bfloat16_clips_are_blended_in_float32_and_stay_bfloat16():
    clips = jnp.asarray(some_clips(16), jnp.bfloat16)
    found = mix_clips(clips, BOTH)
    assert found.dtype == jnp.bfloat16
    wide = mix_clips(clips.astype(jnp.float32), BOTH).astype(jnp.bfloat16)
    np.testing.assert_array_equal(found, wide)


@pytest.mark.parametrize("mixup", [0.2, 0.8, 1.0, 5.0])
def test_mixup_s_shares_are_of_a_beta_distribution(mixup):
    mix = drawn(mixup=mixup)
    share = np.asarray(mix.share, np.float64).reshape(-1, 2)
    np.testing.assert_array_equal(share[:, 0], share[:, 1])
    share = share[:, 0]
    assert share.dtype == np.float64
    assert (share >= 0).all()
    assert (share <= 1).all()
    expected = np.random.RandomState(0).beta(mixup, mixup, 400_000)
    # Of 4000 draws: the largest deviation of their distribution, 1.95 / √n with probability 0.001.
    order = np.sort(expected)
    ranks = np.searchsorted(order, np.sort(share)) / len(order)
    assert np.abs(ranks - (np.arange(len(share)) + 0.5) / len(share)).max() < 1.95 / 4000**0.5
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert not mix.is_cutmix.any()
    assert not mix.box.any()


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 100.0])
def test_extreme_alphas_give_shares_all_the_same(alpha):
    for mix in (drawn(mixup=alpha), drawn(cutmix=alpha)):
        share = np.asarray(mix.share)
        assert np.isfinite(share).all()
        assert (share >= 0).all()
        assert (share <= 1).all()


@pytest.mark.parametrize("cutmix", [0.5, 1.0])
def test_boxes_lie_in_the_image_and_shares_are_what_they_leave(cutmix):
    mix = drawn(cutmix=cutmix)
    assert mix.is_cutmix.all()
    box = np.asarray(mix.box)
    np.testing.assert_array_equal(box[::2], box[1::2])
    top, bottom, left, right = box.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (bottom <= SIZE[0]).all()
    assert (right <= SIZE[1]).all()
    assert (top <= bottom).all()
    assert (left <= right).all()
    area = (bottom - top) * (right - left) / (SIZE[0] * SIZE[1])
    np.testing.assert_allclose(mix.share, 1 - area, atol=1e-6)


def test_boxes_that_are_not_clipped_have_the_image_s_proportion():
    size = (60, 80)
    top, bottom, left, right = np.asarray(drawn(size=size, cutmix=1.0).box).T
    whole = (top > 0) & (left > 0) & (bottom < size[0]) & (right < size[1])
    assert 400 < whole.sum() < 7600
    ratio = (bottom - top)[whole] / size[0] - (right - left)[whole] / size[1]
    assert np.abs(ratio).max() <= 0.5 / size[0] + 0.5 / size[1] + 1e-6


def test_cut_areas_are_distributed_as_in_the_paper():
    height, width = 60, 80
    random = np.random.RandomState(0)
    cut = 1 - random.beta(1.0, 1.0, 400_000)  # of the area, which alpha 1 makes uniform
    centres = random.uniform(size=(2, len(cut)))
    half = np.sqrt(cut) / 2
    sides = np.minimum(centres + half, 1) - np.maximum(centres - half, 0)
    expected = np.sort(1 - sides.prod(axis=0))
    share = np.sort(np.asarray(drawn(size=(height, width), cutmix=1.0).share[::2]))
    at = np.linspace(0.05, 0.95, 19)
    # Boxes have whole pixels; 4000 draws.
    np.testing.assert_allclose(np.quantile(share, at), np.quantile(expected, at), atol=0.03)


def test_boxes_are_centred_anywhere():
    top, bottom, left, right = np.asarray(drawn(size=(60, 80), cutmix=1.0).box[::2]).T
    small = (bottom - top < 20) & (bottom > top) & (right > left)
    for middle, length in (((top + bottom) / 2, 60), ((left + right) / 2, 80)):
        counts, _ = np.histogram(middle[small], bins=4, range=(0, length))
        assert counts.min() > 0.15 * small.sum()


def test_with_both_every_pair_draws_one_of_them():
    mix = drawn(mixup=0.8, cutmix=1.0)
    cut = np.asarray(mix.is_cutmix)
    np.testing.assert_array_equal(cut[::2], cut[1::2])
    assert 0.45 < cut.mean() < 0.55
    assert not np.asarray(mix.box)[~cut].any()
    # Blends are those of mixup alone, cuts those of CutMix alone.
    np.testing.assert_array_equal(mix.share[~cut], drawn(mixup=0.8).share[~cut])
    np.testing.assert_array_equal(mix.box[cut], drawn(cutmix=1.0).box[cut])


def test_nothing_is_drawn_where_nothing_is_mixed():
    assert drawn() is None
    assert drawn(3) is None


def test_draws_are_a_function_of_the_key():
    def leaves(seed):
        return [np.asarray(leaf) for leaf in jax.tree.leaves(drawn(16, seed, mixup=1, cutmix=1))]

    for first, again, other in zip(leaves(0), leaves(0), leaves(1), strict=True):
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_parts_of_whole_pairs_are_mixed_as_the_batch_is():
    clips, targets = some_clips(16), some_targets(16)
    for rows in (slice(0, 4), slice(6, 16), np.array([2, 3, 10, 11])):
        part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], BOTH)
        np.testing.assert_array_equal(mix_clips(clips[rows], part), mix_clips(clips, BOTH)[rows])
        np.testing.assert_array_equal(
            mix_targets(targets[rows], part), mix_targets(targets, BOTH)[rows]
        )


def test_rows_that_make_no_pairs_are_refused():
    with pytest.raises(ValueError, match=r"batch of 5 rows cannot be mixed.*train\.global_batch"):
        drawn(5, mixup=0.1)
    three = jax.tree.map(lambda leaf: leaf[:3], BOTH)
    with pytest.raises(ValueError, match="batch of 3 rows cannot be mixed"):
        mix_clips(some_clips(3), three)
    with pytest.raises(ValueError, match="batch of 3 rows cannot be mixed"):
        mix_targets(some_targets(3), three)


def test_a_mix_of_other_rows_is_refused():
    with pytest.raises(ValueError, match="There are 4 rows, but the mix is of 16"):
        mix_clips(some_clips(4), BOTH)
    with pytest.raises(ValueError, match="There are 4 rows, but the mix is of 16"):
        mix_targets(some_targets(4), BOTH)


@pytest.fixture(scope="module")
def on_eight_devices():
    return run_program("tests.training.mixed_on_eight_devices")


CASES = [
    "8 rows on (8, 1)",
    *(f"16 rows on {mesh}" for mesh in ("(8, 1)", "(2, 4)", "(2, 1, 2, 2)")),
]


@pytest.mark.parametrize("case", CASES)
def test_the_mesh_does_not_change_what_is_mixed(on_eight_devices, case):
    assert on_eight_devices[case]["difference"] < 1e-6
    assert on_eight_devices[case]["changed"] > 0.1


@pytest.mark.parametrize("case", CASES[1:])
def test_devices_with_whole_pairs_do_not_talk_to_each_other(on_eight_devices, case):
    assert on_eight_devices[case]["collectives"] == []
    assert on_eight_devices["from_afar"]["collectives"], "such a program shows what it does"
