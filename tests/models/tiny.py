"""Tiny models with seeded weights, for the tests and the goldens.

Numbers come from `np.random.RandomState(...).random_sample`, whose stream NumPy has frozen, through
one multiplication and one addition, so that every machine and version makes the same ones.
"""

import functools
import zlib

import jax
import numpy as np

import vidtx

from . import dense_reference

SCHEMES = tuple(dense_reference.STEPS)
PATCH, HEADS, DEPTH, DIM, CLASSES = 4, 2, 2, 16, 5
GRID = (4, 2, 4)


def config(scheme, grid=GRID, depth=DEPTH):
    return dense_reference.Config(scheme, grid, PATCH, HEADS, depth)


def create(scheme, grid=GRID, **options):
    """The project's model of the configuration."""
    frames, rows, columns = grid
    options = {"depth": DEPTH, "embed_dim": DIM, "num_heads": HEADS, "drop_path": 0.0} | options
    return vidtx.create_model(
        f"timesformer_ti{PATCH}",
        scheme=scheme,
        num_classes=CLASSES,
        num_frames=frames,
        image_size=(rows * PATCH, columns * PATCH),
        **options,
    )


def uniform(name, shape, bound):
    """Float32 numbers in ±``bound`` that depend on ``name`` alone."""
    sample = np.random.RandomState(zlib.crc32(name.encode())).random_sample(shape)
    return ((2 * sample - 1) * bound).astype(np.float32)


def _linear(name, inputs, outputs):
    # Unit-variance outputs of unit-variance inputs, so that softmax and GELU work where they bend.
    return {
        "kernel": uniform(f"{name}/kernel", (inputs, outputs), (3 / inputs) ** 0.5),
        "bias": uniform(f"{name}/bias", (outputs,), 0.3),
    }


def _norm(name, dim):
    return {
        "scale": 1 + uniform(f"{name}/scale", (dim,), 0.3),
        "bias": uniform(f"{name}/bias", (dim,), 0.3),
    }


def _attention(name, dim):
    return {
        "qkv": _linear(f"{name}/qkv", dim, 3 * dim),
        "out": _linear(f"{name}/out", dim, dim),
    }


def weights(scheme, grid=GRID, *, depth=DEPTH, dim=DIM, position="space_time"):
    """Weights of every layer, none of them zero, as a nested dict of float32 arrays."""
    frames, rows, columns = grid
    embedding = {
        "patch": {
            "kernel": uniform("patch/kernel", (PATCH, PATCH, 3, dim), 1 / PATCH),
            "bias": uniform("patch/bias", (dim,), 0.3),
        },
        "class_token": uniform("class_token", (1, 1, dim), 1.0),
    }
    if position != "none":
        embedding["position"] = uniform("position", (1, 1 + rows * columns, dim), 1.0)
    if position == "space_time" and scheme != "space":
        embedding["time"] = uniform("time", (1, frames, dim), 1.0)
    tree = {
        "embedding": embedding,
        "norm": _norm("norm", dim),
        "head": _linear("head", dim, CLASSES),
    }
    for index in range(depth):
        name = f"block_{index}"
        tree[name] = {
            "norm1": _norm(f"{name}/norm1", dim),
            "attention": _attention(f"{name}/attention", dim),
            "norm2": _norm(f"{name}/norm2", dim),
            "mlp": {
                "fc1": _linear(f"{name}/fc1", dim, 4 * dim),
                "fc2": _linear(f"{name}/fc2", 4 * dim, dim),
            },
        }
        for step in dense_reference.STEPS[scheme][:-1]:
            tree[name][step] = {
                "norm": _norm(f"{name}/{step}/norm", dim),
                "attention": _attention(f"{name}/{step}", dim),
                "fc": _linear(f"{name}/{step}/fc", dim, dim),
            }
    return tree


def clips(grid, batch=2):
    """Float32 clips ``[batch, T, height, width, 3]`` of the token grid ``(T, H, W)``."""
    frames, rows, columns = grid
    shape = (batch, frames, rows * PATCH, columns * PATCH, 3)
    return uniform(f"clips/{shape}", shape, 1.5)


def float64(tree):
    if isinstance(tree, dict):
        return {name: float64(value) for name, value in tree.items()}
    return np.asarray(tree, np.float64)


def flat(tree, prefix=""):
    """``{"block_0/mlp/fc1/bias": array, …}`` of a nested dict."""
    if not isinstance(tree, dict):
        return {prefix[:-1]: np.asarray(tree)}
    return {
        path: leaf
        for name, value in tree.items()
        for path, leaf in flat(value, f"{prefix}{name}/").items()
    }


def reference(scheme, tree, x, **options):
    """Logits of the dense reference, and its backward function, in float64."""
    return dense_reference.run(config(scheme, **options), float64(tree), float64(x))


# Compiling is what these tests spend their time on; nothing here runs long enough to win it back.
COMPILER_OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
if jax.__version_info__ < (0, 11):
    # With them compiling takes three times as long. Later compilers have no such option.
    COMPILER_OPTIONS["xla_cpu_use_fusion_emitters"] = False


@functools.cache
def forward(model):
    """``(weights, clips) -> logits``, compiled once a model and shape and shared by all tests."""
    return jax.jit(
        lambda tree, x: model.apply({"params": tree}, x), compiler_options=COMPILER_OPTIONS
    )


@functools.cache
def forward_backward(model):
    """``(weights, clips, d_logits) -> (logits, (d_weights, d_clips))``, compiled."""

    def run(tree, x, d_logits):
        logits, backward = jax.vjp(lambda *args: model.apply({"params": args[0]}, args[1]), tree, x)
        return logits, backward(d_logits)

    return jax.jit(run, compiler_options=COMPILER_OPTIONS)
