"""Which backend computes an attention step: the rules behind ``model.attention``.

| asked for | on a TPU | on a GPU | on a CPU |
|---|---|---|---|
| auto | splash from 1,000 tokens on, else xla | cudnn where it can, else xla | xla |
| xla | xla | xla | xla |
| splash | splash from 128 tokens on, else xla | refused | as on a TPU, but interpreted |
| cudnn | refused | cudnn, or refused where it cannot | refused |
"""

from jax.typing import DTypeLike

from vidtx.kernels import cudnn, splash

ATTENTION = ("auto", "xla", "splash", "cudnn")

# By the compiler's estimate for a v5e (`python -m benchmarks.attention`), splash takes
# a third longer than xla at 393 and 197 tokens, a fifth less at 785 and a third less at 1,569. The
# bound is above where they meet: under it logits take little memory, and the estimate leaves out
# that a kernel waits for memory.
_AUTO_SPLASH_TOKENS = 1000


def choose_backend(
    attention: str, *, platform: str, tokens: int, head_dim: int, dtype: DTypeLike
) -> str:
    """What computes a step.

    Args:
      attention: what is asked for, one of ``ATTENTION``.
      platform: of the devices: cpu, gpu or tpu.
      tokens: keys of a group, class token and padding included.
      head_dim: ``K``.
      dtype: of query, key and value.

    Returns:
      xla, splash or cudnn.

    Raises:
      ValueError: what is asked for is unknown, or cannot be had here; names everything against it.
    """
    if attention not in ATTENTION:
        raise ValueError(f"attention is {attention!r}; it must be one of {', '.join(ATTENTION)}.")
    if attention == "auto":
        return _best(platform=platform, tokens=tokens, head_dim=head_dim, dtype=dtype)
    if attention == "splash":
        if platform == "gpu":
            raise ValueError(
                "attention is 'splash', a kernel for TPUs, but the devices are GPUs; ask for auto, "
                "xla or cudnn."
            )
        return "splash" if tokens >= splash.LANES else "xla"
    if attention == "cudnn":
        against = list(cudnn.problems(platform=platform, head_dim=head_dim, dtype=dtype))
        if against:
            raise ValueError(f"attention is 'cudnn': {'; '.join(against)}. Ask for auto or xla.")
    return attention


def _best(*, platform: str, tokens: int, head_dim: int, dtype: DTypeLike) -> str:
    if platform == "tpu" and tokens >= _AUTO_SPLASH_TOKENS:
        return "splash"
    if platform == "gpu" and not any(
        cudnn.problems(platform=platform, head_dim=head_dim, dtype=dtype)
    ):
        return "cudnn"
    return "xla"
