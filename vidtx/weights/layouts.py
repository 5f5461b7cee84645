"""The layouts of the files that vidtx reads and writes, one a row of ``LAYOUTS``.

Sources: google-research/vision_transformer, timm and transformers (all Apache-2.0) for the ViT and
for Hugging Face's TimeSformer. The names in official TimeSformer checkpoints are timm's, with
``temporal_*`` for the time step and ``time_embed``.
"""

from collections.abc import Mapping

from vidtx.weights.forms import CONV, HEADS_OUT, HEADS_QKV, LINEAR, QKV, SAME, UNDISTILLED
from vidtx.weights.layout import Drop, Layout, Row

_QKV = ("query", "key", "value")
# What PyTorch puts before names: DistributedDataParallel, and torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")


def _norm(ours: str, theirs: str) -> tuple[Row, ...]:
    return (
        Row(f"{ours}.scale", (f"{theirs}.weight",), SAME),
        Row(f"{ours}.bias", (f"{theirs}.bias",), SAME),
    )


def _linear(ours: str, theirs: str) -> tuple[Row, ...]:
    return (
        Row(f"{ours}.kernel", (f"{theirs}.weight",), LINEAR),
        Row(f"{ours}.bias", (f"{theirs}.bias",), SAME),
    )


def _three_linears(ours: str, *theirs: str) -> tuple[Row, ...]:
    return (
        Row(f"{ours}.kernel", tuple(f"{name}.weight" for name in theirs), QKV),
        Row(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs), QKV),
    )


def _patch(theirs: str) -> tuple[Row, ...]:
    return (
        Row("embedding.patch.kernel", (f"{theirs}.weight",), CONV),
        Row("embedding.patch.bias", (f"{theirs}.bias",), SAME),
    )


def _embeddings(**theirs: str) -> tuple[Row, ...]:
    return tuple(Row(f"embedding.{ours}", (name,), SAME) for ours, name in theirs.items())


_TIMM = (
    *_embeddings(class_token="cls_token", position="pos_embed"),
    *_patch("patch_embed.proj"),
    *_norm("block_{i}.norm1", "blocks.{i}.norm1"),
    *_linear("block_{i}.attention.qkv", "blocks.{i}.attn.qkv"),
    *_linear("block_{i}.attention.out", "blocks.{i}.attn.proj"),
    *_norm("block_{i}.norm2", "blocks.{i}.norm2"),
    *_linear("block_{i}.mlp.fc1", "blocks.{i}.mlp.fc1"),
    *_linear("block_{i}.mlp.fc2", "blocks.{i}.mlp.fc2"),
    *_norm("norm", "norm"),
    *_linear("head", "head"),
)
_TIMM_TIME = (
    *_embeddings(time="time_embed"),
    *_norm("block_{i}.time.norm", "blocks.{i}.temporal_norm1"),
    *_linear("block_{i}.time.attention.qkv", "blocks.{i}.temporal_attn.qkv"),
    *_linear("block_{i}.time.attention.out", "blocks.{i}.temporal_attn.proj"),
    *_linear("block_{i}.time.fc", "blocks.{i}.temporal_fc"),
)

_HF_OUTSIDE = (
    *_embeddings(class_token="embeddings.cls_token", position="embeddings.position_embeddings"),
    *_patch("embeddings.patch_embeddings.projection"),
    *_norm("norm", "layernorm"),
    *_linear("head", "classifier"),
)
_HF_BLOCK = "encoder.layer.{i}"
_HF_BESIDE_QKV = (
    *_norm("block_{i}.norm1", f"{_HF_BLOCK}.layernorm_before"),
    *_linear("block_{i}.attention.out", f"{_HF_BLOCK}.attention.output.dense"),
    *_norm("block_{i}.norm2", f"{_HF_BLOCK}.layernorm_after"),
    *_linear("block_{i}.mlp.fc1", f"{_HF_BLOCK}.intermediate.dense"),
    *_linear("block_{i}.mlp.fc2", f"{_HF_BLOCK}.output.dense"),
)
_HF_VIT = (
    *_HF_OUTSIDE,
    *_HF_BESIDE_QKV,
    *_three_linears(
        "block_{i}.attention.qkv",
        *(f"{_HF_BLOCK}.attention.attention.{name}" for name in _QKV),
    ),
)
# What transformers 5 calls them in memory. It still writes the names above, unless it is asked not
# to, or the state dictionary itself is saved.
_HF_VIT_5 = (
    *_HF_OUTSIDE,
    *_norm("block_{i}.norm1", "layers.{i}.layernorm_before"),
    *_three_linears(
        "block_{i}.attention.qkv", *(f"layers.{{i}}.attention.{name}_proj" for name in "qkv")
    ),
    *_linear("block_{i}.attention.out", "layers.{i}.attention.o_proj"),
    *_norm("block_{i}.norm2", "layers.{i}.layernorm_after"),
    *_linear("block_{i}.mlp.fc1", "layers.{i}.mlp.fc1"),
    *_linear("block_{i}.mlp.fc2", "layers.{i}.mlp.fc2"),
)
_HF_TIMESFORMER = (
    *_HF_OUTSIDE,
    *_HF_BESIDE_QKV,
    *_linear("block_{i}.attention.qkv", f"{_HF_BLOCK}.attention.attention.qkv"),
    *_embeddings(time="embeddings.time_embeddings"),
    *_norm("block_{i}.time.norm", f"{_HF_BLOCK}.temporal_layernorm"),
    *_linear("block_{i}.time.attention.qkv", f"{_HF_BLOCK}.temporal_attention.attention.qkv"),
    *_linear("block_{i}.time.attention.out", f"{_HF_BLOCK}.temporal_attention.output.dense"),
    *_linear("block_{i}.time.fc", f"{_HF_BLOCK}.temporal_dense"),
)


def _google(ours: str, theirs: str, *names: str) -> tuple[Row, ...]:
    return tuple(Row(f"{ours}.{name}", (f"{theirs}/{name}",), SAME) for name in names)


_GOOGLE_BLOCK = "Transformer/encoderblock_{i}"
_GOOGLE_ATTENTION = f"{_GOOGLE_BLOCK}/MultiHeadDotProductAttention_1"
_GOOGLE = (
    *_embeddings(class_token="cls", position="Transformer/posembed_input/pos_embedding"),
    *_google("embedding.patch", "embedding", "kernel", "bias"),
    *_google("block_{i}.norm1", f"{_GOOGLE_BLOCK}/LayerNorm_0", "scale", "bias"),
    *(
        Row(
            f"block_{{i}}.attention.qkv.{name}",
            tuple(f"{_GOOGLE_ATTENTION}/{part}/{name}" for part in _QKV),
            HEADS_QKV,
        )
        for name in ("kernel", "bias")
    ),
    Row("block_{i}.attention.out.kernel", (f"{_GOOGLE_ATTENTION}/out/kernel",), HEADS_OUT),
    Row("block_{i}.attention.out.bias", (f"{_GOOGLE_ATTENTION}/out/bias",), SAME),
    *_google("block_{i}.norm2", f"{_GOOGLE_BLOCK}/LayerNorm_2", "scale", "bias"),
    *_google("block_{i}.mlp.fc1", f"{_GOOGLE_BLOCK}/MlpBlock_3/Dense_0", "kernel", "bias"),
    *_google("block_{i}.mlp.fc2", f"{_GOOGLE_BLOCK}/MlpBlock_3/Dense_1", "kernel", "bias"),
    *_google("norm", "Transformer/encoder_norm", "scale", "bias"),
    *_google("head", "head", "kernel", "bias"),
)

_PRE_LOGITS = Drop(
    r"pre_logits(\.fc)?[./](weight|kernel|bias)",
    "the layer before the head in pre-training; vidtx has none",
    head="it reads pre_logits, the layer before it in pre-training, which vidtx does not have",
)
_POOLER = Drop(r"pooler\.dense\.(weight|bias)", "the pooler, which no classifier uses")
_MASK_TOKEN = Drop(r"embeddings\.mask_token", "stands for hidden patches in pre-training")
_DISTILLATION = "of the distillation token; vidtx has none"
_TWO_HEADS = "its scores were the mean of two heads'; the class token's is kept."


def _undistilled(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(
        Row(row.ours, row.theirs, UNDISTILLED if row.ours == "embedding.position" else row.form)
        for row in rows
    )


def _huggingface_vit(title: str, rows: tuple[Row, ...]) -> Layout:
    return Layout(
        title,
        rows,
        prefix="vit.",
        bare=("classifier.",),
        strip=(*_WRAPPERS, "vit."),
        drops=(_POOLER, _MASK_TOKEN),
    )


def _huggingface_deit(title: str, rows: tuple[Row, ...]) -> Layout:
    own = r"embeddings\.distillation_token|distillation_classifier\.(weight|bias)"
    return Layout(
        title,
        _undistilled(rows),
        strip=(*_WRAPPERS, "deit."),
        renamed={"cls_classifier.": "classifier."},
        drops=(Drop(own, _DISTILLATION), _POOLER, _MASK_TOKEN),
        writes=False,
        note=_TWO_HEADS,
    )


# Where two fit a file equally well, the first is taken.
LAYOUTS: Mapping[str, Layout] = {
    "google": Layout(
        "ViT (Google's JAX)",
        _GOOGLE,
        strip=("params/", "opt/target/"),
        drops=(_PRE_LOGITS, Drop(r"opt/.*", "the optimiser's state", "opt")),
    ),
    "timm": Layout("ViT (timm)", _TIMM, strip=(*_WRAPPERS, "model."), drops=(_PRE_LOGITS,)),
    "timm_distilled": Layout(
        "DeiT, distilled (timm)",
        _undistilled(_TIMM),
        strip=(*_WRAPPERS, "model."),
        drops=(Drop(r"dist_token|head_dist\.(weight|bias)", _DISTILLATION), _PRE_LOGITS),
        writes=False,
        note=_TWO_HEADS,
    ),
    "hf_vit": _huggingface_vit("ViT (Hugging Face)", _HF_VIT),
    "hf_vit_5": _huggingface_vit("ViT (Hugging Face, names of transformers 5)", _HF_VIT_5),
    "hf_deit": _huggingface_deit("DeiT, distilled (Hugging Face)", _HF_VIT),
    "hf_deit_5": _huggingface_deit(
        "DeiT, distilled (Hugging Face, names of transformers 5)", _HF_VIT_5
    ),
    "timesformer": Layout(
        "TimeSformer (official)",
        _TIMM + _TIMM_TIME,
        prefix="model.",
        strip=(*_WRAPPERS, "model."),
        drops=(_PRE_LOGITS,),
        of_images=False,
    ),
    "hf_timesformer": Layout(
        "TimeSformer (Hugging Face)",
        _HF_TIMESFORMER,
        prefix="timesformer.",
        bare=("classifier.",),
        strip=(*_WRAPPERS, "timesformer."),
        drops=(_POOLER,),
        of_images=False,
    ),
}
