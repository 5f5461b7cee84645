"""Where the weights are that the published runs began with, or the nearest that can be had.

The names are of the Hugging Face Hub; ``--config.train.init_from=PATH`` takes a file or a run
instead. The authors do not tell which file of ImageNet-21K weights the paper's models began with.
That which their code loads by default was trained on ImageNet-21K and then on ImageNet-1K; it is
``hf:google/vit-base-patch16-224``. Released TimeSformer weights are CC-BY-NC 4.0.
"""

_WEIGHTS = {
    "in21k": {
        "S/16": "hf:timm/vit_small_patch16_224.augreg_in21k",
        "B/16": "hf:google/vit-base-patch16-224-in21k",
        "L/16": "hf:google/vit-large-patch16-224-in21k",
        "B/32": "hf:google/vit-base-patch32-224-in21k",
    },
    "in1k": {
        "S/16": "hf:facebook/deit-small-patch16-224",
        "B/16": "hf:facebook/deit-base-patch16-224",
    },
    "k400": {"B/16": "hf:facebook/timesformer-base-finetuned-k400"},
    "none": dict.fromkeys(("S/16", "B/16", "L/16", "B/32")),
}
_K400_HR = "hf:facebook/timesformer-hr-finetuned-k400"
_WHY = {
    "in1k": "DeiT, the ViTs of ImageNet-1K alone, was published as S/16 and B/16",
    "k400": "the TimeSformers of Kinetics-400 were released as B/16",
}


def weights_of(pretrain: str, variant: str, side: int) -> str | None:
    """What ``train.init_from`` is for a pre-training, or None for none.

    Args:
      pretrain: in1k, in21k, k400 or none.
      variant: of the ViT, such as ``B/16``.
      side: height and width of a clip in pixels; at 448 the weights of Kinetics-400 are
        TimeSformer-HR's, at any other the base model's.

    Raises:
      ValueError: no such weights were published.
    """
    known = _WEIGHTS[pretrain]
    if variant not in known:
        raise ValueError(
            f"pretrain={pretrain} has no weights of variant {variant}: {_WHY[pretrain]}. Take "
            f"pretrain=in21k or none, and name your own with --config.train.init_from=PATH."
        )
    return _K400_HR if pretrain == "k400" and side == 448 else known[variant]
