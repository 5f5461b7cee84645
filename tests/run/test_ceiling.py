"""What cannot tell opposite motions apart, whatever its weights, and what can.

Space-only attention cannot, and no scheme can without a time embedding: attention has no order of
its own, so that a clip played backwards gives the same tokens in other places.
"""

import jax
import numpy as np
import pytest

import vidtx
from data_pipelines.loader import ClipSpec, eval_batches
from data_pipelines.motions_render import CLASS_NAMES, PAIRS
from data_pipelines.records import open_split
from vidtx.models import SCHEMES, normalize

OPPOSITE = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}


@pytest.fixture(scope="module")
def evaluated_clips(motions_dir):
    """Clips of the test split as they are judged, with (scene, class) of each."""
    spec = ClipSpec(frames=8, stride=2, crop=(32, 32), short_side=(32, 32), eval_short_side=32)
    source = open_split("motions", "test", motions_dir)
    with eval_batches(source, spec, global_batch=len(source)) as batches:
        batch = next(batches)
    names = [tuple(source[int(i)]["video_id"].split("_")[1:]) for i in batch["index"]]
    return normalize(batch["video"][:, 0], (0.45,) * 3, (0.225,) * 3), names


def logits_of_opposites(scheme, seed, evaluated_clips, **options):
    """Logits of each clip, and of its scene played the other way round."""
    clips, names = evaluated_clips
    model = vidtx.create_model(
        "timesformer_ti8",
        scheme=scheme,
        num_classes=len(CLASS_NAMES),
        image_size=32,
        embed_dim=32,
        depth=2,
        num_heads=2,
        **options,
    )
    variables = model.init(jax.random.key(seed), clips[:1])
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    # Far from any initialisation: no weight may open a way past the ceiling.
    noisy = [
        leaf + 0.3 * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    logits = np.asarray(jax.jit(model.apply)(jax.tree.unflatten(tree, noisy), clips))
    other = [names.index((scene, OPPOSITE[label])) for scene, label in names]
    return logits, logits[other], [CLASS_NAMES.index(label) for _, label in names]


# Divided attention is what quicker runs look at.
SEE_TIME = [
    pytest.param(name, marks=() if name == "divided" else pytest.mark.slow)
    for name in SCHEMES
    if name != "space"
]


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_space_only_gives_opposites_the_same_answer(seed, evaluated_clips):
    logits, opposites, labels = logits_of_opposites("space", seed, evaluated_clips)
    np.testing.assert_allclose(logits, opposites, rtol=0, atol=2e-5)
    assert np.ptp(logits, axis=0).max() > 0.1  # while it does tell scenes apart
    assert (logits.argmax(axis=1) == labels).mean() <= 0.5


@pytest.mark.parametrize("scheme", SEE_TIME)
def test_without_a_time_embedding_every_scheme_does_so_too(scheme, evaluated_clips):
    """No embedding at all is the case in which the one of positions is zero."""
    logits, opposites, _ = logits_of_opposites(
        scheme, 0, evaluated_clips, position_embedding="space"
    )
    np.testing.assert_allclose(logits, opposites, rtol=0, atol=2e-5)
    assert np.ptp(logits, axis=0).max() > 0.1


@pytest.mark.parametrize("scheme", SEE_TIME)
def test_with_one_every_other_scheme_gives_them_different_answers(scheme, evaluated_clips):
    logits, opposites, _ = logits_of_opposites(scheme, 0, evaluated_clips)
    # For each clip a hundred times what rounding may do.
    assert np.abs(logits - opposites).max(axis=1).min() > 2e-3
