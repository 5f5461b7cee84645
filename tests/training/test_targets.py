import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidtx.training.targets import losses, make_targets

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-30.0, 40.0, 3.0]], np.float32)


def targets_of(batch, smoothing=0.0, multi_label=False):
    return make_targets(batch, num_classes=3, label_smoothing=smoothing, multi_label=multi_label)


def test_one_label_is_one_hot_and_may_be_smoothed():
    batch = {"label": np.array([2, 0], np.int32)}
    plain = targets_of(batch)
    assert (plain.dtype, plain.tolist()) == (jnp.float32, [[0, 0, 1], [1, 0, 0]])
    smooth = targets_of(batch, smoothing=0.3)
    np.testing.assert_allclose(smooth, [[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]], rtol=1e-6)


def test_any_number_of_labels_is_multi_hot():
    labels = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 1]], np.uint8)
    targets = targets_of({"labels": labels}, multi_label=True)
    assert targets.dtype == jnp.float32
    np.testing.assert_array_equal(targets, labels)


@pytest.mark.parametrize(
    ("shape", "smoothing", "match"),
    [
        ((2, 3), 0.1, "label_smoothing=0.1 must be 0"),
        ((2, 4), 0.0, r"\[2, 4\]; expected \[B, num_classes=3\]"),
        ((2,), 0.0, r"labels are \[2\]"),
    ],
)
def test_impossible_targets_are_refused(shape, smoothing, match):
    with pytest.raises(ValueError, match=match):
        targets_of({"labels": np.zeros(shape, np.uint8)}, smoothing, multi_label=True)


def test_softmax_cross_entropy_against_its_definition():
    targets = np.array([[0.1, 0.1, 0.8], [0, 1, 0], [0, 1, 0]], np.float32)
    logits = LOGITS.astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    found = losses(LOGITS, targets, multi_label=False)
    assert (found.shape, found.dtype) == ((3,), jnp.float32)
    np.testing.assert_allclose(found, -(targets * logs).sum(axis=1), rtol=1e-5, atol=1e-6)


def test_sigmoid_cross_entropy_is_a_mean_over_classes():
    targets = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]], np.float32)
    logits = LOGITS.astype(np.float64)
    # log(1 + exp(-x)) for a yes, log(1 + exp(x)) for a no.
    each = np.logaddexp(0, np.where(targets == 1, -logits, logits))
    found = losses(LOGITS, targets, multi_label=True)
    assert (found.shape, found.dtype) == ((3,), jnp.float32)
    np.testing.assert_allclose(found, each.mean(axis=1), rtol=1e-6)
    assert found[1] == pytest.approx(np.log(2))


@pytest.mark.parametrize("multi_label", [False, True])
def test_losses_and_gradients_of_loud_logits_are_finite(multi_label):
    targets = np.array([[0, 1, 0]], np.float32)

    def loss(logits):
        return losses(logits, targets, multi_label=multi_label).sum()

    found, gradient = jax.value_and_grad(loss)(jnp.array([[1e4, -1e4, 0.0]]))
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()


def test_mixed_targets_mix_the_loss():
    first, second = np.eye(3, dtype=np.float32)[[0, 1, 2]], np.eye(3, dtype=np.float32)[[1, 2, 0]]
    for multi_label in (False, True):
        parts = [losses(LOGITS, targets, multi_label=multi_label) for targets in (first, second)]
        mixed = losses(LOGITS, 0.25 * first + 0.75 * second, multi_label=multi_label)
        np.testing.assert_allclose(mixed, 0.25 * parts[0] + 0.75 * parts[1], rtol=1e-6)
