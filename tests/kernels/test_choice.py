"""Which backend is chosen, and why what is asked for cannot be had."""

import types

import jax
import jax.numpy as jnp
import pytest

from vidtx.kernels import ATTENTION, choose_backend

TPU, GPU, CPU = "tpu", "gpu", "cpu"


def choose(attention, platform, tokens=1569, head_dim=64, dtype=jnp.bfloat16):
    return choose_backend(
        attention, platform=platform, tokens=tokens, head_dim=head_dim, dtype=dtype
    )


@pytest.mark.parametrize(
    ("attention", "platform", "tokens", "head_dim", "dtype", "backend"),
    [
        ("auto", TPU, 1569, 64, "bfloat16", "splash"),
        ("auto", TPU, 1569, 64, "float32", "splash"),
        ("auto", TPU, 1000, 64, "bfloat16", "splash"),
        ("auto", TPU, 999, 64, "bfloat16", "xla"),
        ("auto", TPU, 8, 64, "bfloat16", "xla"),
        ("auto", GPU, 1569, 64, "bfloat16", "cudnn"),
        ("auto", GPU, 8, 64, "bfloat16", "cudnn"),
        ("auto", GPU, 1569, 128, "float16", "cudnn"),
        ("auto", GPU, 1569, 64, "float32", "xla"),
        ("auto", GPU, 1569, 60, "bfloat16", "xla"),
        ("auto", GPU, 1569, 136, "bfloat16", "xla"),
        ("auto", CPU, 1569, 64, "bfloat16", "xla"),
        ("xla", TPU, 12545, 64, "bfloat16", "xla"),
        ("xla", GPU, 12545, 64, "bfloat16", "xla"),
        ("xla", CPU, 12545, 64, "bfloat16", "xla"),
        ("splash", TPU, 128, 64, "bfloat16", "splash"),
        ("splash", TPU, 127, 64, "bfloat16", "xla"),
        ("splash", CPU, 197, 64, "float32", "splash"),
        ("splash", CPU, 8, 64, "float32", "xla"),
        ("cudnn", GPU, 8, 8, "bfloat16", "cudnn"),
    ],
)
def test_what_computes_a_step(attention, platform, tokens, head_dim, dtype, backend):
    assert choose(attention, platform, tokens, head_dim, jnp.dtype(dtype)) == backend


@pytest.mark.parametrize("tokens", [8, 1569])
def test_splash_is_refused_on_a_gpu_for_every_step(tokens):
    with pytest.raises(ValueError, match="a kernel for TPUs, but the devices are GPUs; ask for"):
        choose("splash", GPU, tokens)


@pytest.mark.parametrize("platform", [TPU, CPU])
def test_cudnn_is_refused_without_a_gpu(platform):
    with pytest.raises(ValueError, match=f"needs a GPU, but .* platform '{platform}'.*auto or xla"):
        choose("cudnn", platform)


def test_all_that_is_against_cudnn_is_said_at_once():
    with pytest.raises(ValueError, match="auto or xla") as error:
        choose("cudnn", TPU, head_dim=60, dtype=jnp.float32)
    for part in ("'tpu'", "model in float32", "multiple of 8, 128 at most", "60 wide"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("capability", "backend"),
    [("9.0", "cudnn"), ("8.0", "cudnn"), ("10.3", "cudnn"), ("7.5", "xla"), ("gfx90a", "xla")],
)
def test_auto_asks_the_gpu_that_is_there(monkeypatch, capability, backend):
    device = types.SimpleNamespace(platform="gpu", compute_capability=capability)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert choose("auto", GPU) == backend
    if backend == "xla":
        with pytest.raises(ValueError, match=r"capability 8\.0, but the device has (.*7.5|no NV)"):
            choose("cudnn", GPU)


def test_an_unknown_one_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=f"'flash'; it must be one of {', '.join(ATTENTION)}"):
        choose("flash", TPU)
