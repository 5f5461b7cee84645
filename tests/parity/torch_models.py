"""The models of transformers and timm, run forwards and backwards. Needs PyTorch.

`corrected` makes Hugging Face's TimeSformer compute what it should where it is wrong by itself, see
`test_huggingface_wrongs.py`: its own modules run, but built for the sizes of the clip and given
embeddings that were resized before, so that none of its own resizing and counting of frames does;
and space-only's class tokens are averaged over frames before the last norm.
"""

import copy
import tempfile

import safetensors.numpy
import torch
import transformers

from . import foreign


def load(folder, kind=transformers.TimesformerForVideoClassification):
    """Hugging Face's model of a folder that has neither more nor fewer arrays than it."""
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


def make(model, size=foreign.TINY, dtype=torch.float32):
    """The library's model of one of ``SCHEMES`` or ``IMAGE_LIBRARIES``, with seeded weights."""
    arrays = foreign.weights(foreign.shapes_of(model, size))
    if model == "timm_vit":
        return _timm(arrays, size).to(dtype)
    kind = transformers.ViTForImageClassification
    if model in foreign.SCHEMES:
        kind = transformers.TimesformerForVideoClassification
    with tempfile.TemporaryDirectory() as folder:
        return load(foreign.write(folder, model, arrays, size), kind).to(dtype)


def _timm(arrays, size):
    from timm.models.vision_transformer import VisionTransformer

    _, rows, columns = size.grid
    built = VisionTransformer(
        img_size=(rows * size.patch, columns * size.patch),
        patch_size=size.patch,
        embed_dim=size.dim,
        depth=size.depth,
        num_heads=size.heads,
        num_classes=size.classes,
    )
    built.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return built.eval()


class _FramesAveraged(torch.nn.Module):
    """Space-only, whose class tokens are averaged over frames before the last norm."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, clips):
        inner = self.model.timesformer
        tokens = inner.encoder(inner.embeddings(clips))[0][:, 0]
        tokens = tokens.reshape(*clips.shape[:2], -1).mean(dim=1)
        return self.model.classifier(inner.layernorm(tokens))


class _Logits(_FramesAveraged):
    def forward(self, clips):
        return self.model(clips).logits


def corrected(model, clips):
    """Logits ``[B, C]`` of Hugging Face's TimeSformer for clips of any size, differentiable.

    Args:
      model: theirs, whose configuration and weights are taken.
      clips: ``[B, T, 3, height, width]``.
    """
    config = copy.deepcopy(model.config)
    config.num_frames, config.image_size = clips.shape[1], tuple(clips.shape[3:])
    with torch.device("meta"):  # its weights are given below
        built = transformers.TimesformerForVideoClassification(config).eval()
    # Its layers divide one number by the patch size, and mean the columns.
    built.config.image_size = clips.shape[4]
    averaged = config.attention_type == "space_only"
    arrays = dict(model.named_parameters())
    for name, resize in (("position", _resized_positions), ("time", _resized_times)):
        name = f"timesformer.embeddings.{name}_embeddings"
        if name in arrays:
            arrays[name] = resize(arrays[name], model.config, clips)
    return torch.func.functional_call(
        (_FramesAveraged if averaged else _Logits)(built),
        {f"model.{name}": array for name, array in arrays.items()},
        (clips,),
    )


def _resized_positions(table, config, clips):
    sides = config.image_size if hasattr(config.image_size, "__len__") else [config.image_size] * 2
    rows, columns = (side // config.patch_size for side in sides)
    grid = table[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))
    wanted = [side // config.patch_size for side in clips.shape[3:]]
    grid = torch.nn.functional.interpolate(grid, size=wanted, mode="nearest")
    return torch.cat((table[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)


def _resized_times(table, config, clips):
    table = table.transpose(1, 2)
    table = torch.nn.functional.interpolate(table, size=clips.shape[1], mode="nearest")
    return table.transpose(1, 2)


def channels_first(clips, like):
    """Clips ``[..., height, width, 3]`` as ``[..., 3, height, width]``, with a gradient."""
    dtype = next(like.parameters()).dtype
    moved = torch.from_numpy(clips).to(dtype).movedim(-1, -3).contiguous()
    return moved.requires_grad_()


def run(model, clips, d_logits):
    """Logits, and gradients by the names of the library's file, and of ``clips``.

    Args:
      model: from `make` or `load`; of images, its clips have one frame.
      clips: float32 ``[B, T, height, width, 3]``.
      d_logits: ``[B, C]``, what the backward pass begins with.

    Returns:
      Logits ``[B, C]`` and ``{name: gradient}``, that of ``clips`` with its channels last; in the
      model's dtype.
    """
    moved = channels_first(clips, model)
    if isinstance(model, transformers.TimesformerForVideoClassification):
        logits = corrected(model, moved)
    else:
        (frame,) = moved.unbind(dim=1)
        logits = model(frame)
        logits = getattr(logits, "logits", logits)
    model.zero_grad()
    logits.backward(torch.from_numpy(d_logits).to(logits.dtype))
    gradients = saved(model, {name: leaf.grad for name, leaf in model.named_parameters()})
    return logits.detach().numpy(), gradients | {"clips": moved.grad.movedim(-3, -1).numpy()}


def saved(model, values):
    """Values of a model's parameters by the names of its file, which may be others."""
    if not isinstance(model, transformers.PreTrainedModel):
        return {name: value.numpy() for name, value in values.items()}
    holder = copy.deepcopy(model)
    for name, parameter in holder.named_parameters():
        parameter.data = values[name]
    with tempfile.TemporaryDirectory() as folder:
        holder.save_pretrained(folder)
        return safetensors.numpy.load_file(f"{folder}/model.safetensors")
