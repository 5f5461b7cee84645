"""What was published, a row for each figure of the paper (arXiv 2102.05095).

Beside them stand those of the models that the authors released with their code. Nothing of it was
reproduced here. An experiment's docstring quotes its rows, tests hold parameters and multiply-adds
against them, and ``docs/models.md`` is made from them. What the paper gives as a curve without
values (Figures 3 to 6) is not here.
"""

import dataclasses

# Names of pre-training, for people.
PRETRAINING = {
    "in1k": "ImageNet-1K",
    "in21k": "ImageNet-21K",
    "k400": "Kinetics-400",
    "none": "none",
}


@dataclasses.dataclass(frozen=True)
class Published:
    """A published result.

    Attributes:
      reference: of the experiment that is this run, as ``--config`` takes it.
      dataset: on which it is trained and judged, as people call it.
      table: of the paper, where the figures stand.
      frames: of a clip.
      stride: from one frame to the next at the video's rate; None where each is one of so many
        equal parts of the video.
      side: height and width in pixels.
      pretraining: what it began with, a key of ``PRETRAINING``.
      scheme: of attention, as ``model.scheme`` has it.
      variant: of the ViT: size and patch side.
      positions: its embedding, as ``model.position_embedding`` has it.
      views: clips of a video that it was judged on: over time (for HowTo100M the mean), and crops
        of each.
      top1: the paper's accuracy in percent, of whole videos; None where it has none.
      top5: the same.
      difference: the paper's top-1 less that of divided attention and ViT-B/16, in points, where
        only that is told, and mostly as "about".
      released_top1: that the authors give of the model released with their code.
      released_top5: the same.
      parameters: in millions, as printed. Table 1's are those of 174 classes on both data sets.
      tera_macs: multiply-adds of all views, in 10**12, as printed (there as TFLOPs).
      weights: the released model's name on the Hugging Face Hub, where it is there. CC-BY-NC 4.0.
      note: what else to know.
    """

    reference: str
    dataset: str
    table: str
    frames: int = 8
    stride: int | None = 32
    side: int = 224
    pretraining: str = "in21k"
    scheme: str = "divided"
    variant: str = "B/16"
    positions: str = "space_time"
    views: tuple[int, int] = (1, 3)
    top1: float | None = None
    top5: float | None = None
    difference: float | None = None
    released_top1: float | None = None
    released_top5: float | None = None
    parameters: float | None = None
    tera_macs: float | None = None
    weights: str | None = None
    note: str = ""


def _k400(reference: str, table: str, top1: float | None = None, **facts) -> Published:
    return Published(reference, "Kinetics-400", table, top1=top1, **facts)


def _k600(reference: str, top1: float, **facts) -> Published:
    return Published(reference, "Kinetics-600", "Table 6", top1=top1, **facts)


def _ssv2(reference: str, table: str, top1: float | None, **facts) -> Published:
    facts = {"pretraining": "in1k", "stride": None, **facts}
    return Published(reference, "Something-Something V2", table, top1=top1, **facts)


def _diving48(reference: str, top1: float, **facts) -> Published:
    facts = {"pretraining": "in1k", **facts}
    return Published(reference, "Diving-48", "Table 7", top1=top1, **facts)


def _howto100m(frames: int, clips: int, pretraining: str, top1: float) -> Published:
    argument = f"{frames}" if pretraining == "k400" else f"{frames},pretrain={pretraining}"
    return Published(
        f"howto100m_divided:{argument}",
        "HowTo100M",
        "Table 8" if pretraining == "k400" else "text on Table 8",
        frames=frames,
        pretraining=pretraining,
        views=(clips, 1),
        top1=top1,
        note="The number of crops is not told.",
    )


# Clips of TimeSformer-HR and TimeSformer-L. HR's stride is the code's.
_HR = {"frames": 16, "stride": 16, "side": 448}
_L = {"frames": 96, "stride": 4}
_SSV2_HR = {"frames": 16, "side": 448}
_SSV2_L = {"frames": 64}
_OPEN = "The table does not tell the pre-training; that of Table 1 is taken."

PUBLISHED = (
    # Table 1: the schemes. From ImageNet-21K on both data sets.
    _k400("k400_space", "Table 1", 76.9, scheme="space", parameters=85.9),
    _k400("k400_joint", "Table 1", 77.4, scheme="joint", parameters=85.9),
    _k400("k400_divided", "Table 1", 78.0, parameters=121.4),
    _k400(
        "k400_sparse_local_global",
        "Table 1",
        75.9,
        scheme="sparse_local_global",
        parameters=121.4,
    ),
    _k400("k400_axial", "Table 1", 73.5, scheme="axial", parameters=156.8),
    *(
        _ssv2(
            f"ssv2_divided:{argument}pretrain=in21k",
            "Table 1",
            top1,
            scheme=scheme,
            pretraining="in21k",
            parameters=parameters,
        )
        for argument, scheme, top1, parameters in (
            ("space,", "space", 36.6, 85.9),
            ("joint,", "joint", 58.5, 85.9),
            ("", "divided", 59.5, 121.4),
            ("sparse_local_global,", "sparse_local_global", 56.3, 121.4),
            ("axial,", "axial", 56.2, 156.8),
        )
    ),
    # Text on Table 2: no pre-training.
    _k400(
        "k400_divided:pretrain=none",
        "text on Table 2",
        64.8,
        pretraining="none",
        note="With a longer schedule and more augmentation, which are not published.",
    ),
    # Table 3: pre-training.
    _k400("k400_divided:pretrain=in1k", "Table 3", 75.8, pretraining="in1k"),
    _k400("k400_divided", "Table 3", 78.0),
    _k400("k400_divided_hr:pretrain=in1k", "Table 3", 77.8, pretraining="in1k", **_HR),
    _k400("k400_divided_hr", "Table 3", 79.7, **_HR),
    _k400("k400_divided_l:pretrain=in1k", "Table 3", 78.1, pretraining="in1k", **_L),
    _k400("k400_divided_l", "Table 3", 80.7, **_L),
    _ssv2("ssv2_divided", "Table 3", 59.5),
    _ssv2("ssv2_divided:pretrain=in21k", "Table 3", 59.5, pretraining="in21k"),
    _ssv2("ssv2_divided_hr", "Table 3", 62.2, **_SSV2_HR),
    _ssv2("ssv2_divided_hr:pretrain=in21k", "Table 3", 62.5, pretraining="in21k", **_SSV2_HR),
    _ssv2("ssv2_divided_l", "Table 3", 62.4, **_SSV2_L),
    _ssv2("ssv2_divided_l:pretrain=in21k", "Table 3", 62.3, pretraining="in21k", **_SSV2_L),
    # Table 4: position embeddings.
    _k400("k400_divided:positions=none", "Table 4", 75.4, positions="none", note=_OPEN),
    _k400("k400_divided:positions=space", "Table 4", 77.8, positions="space", note=_OPEN),
    _k400("k400_divided", "Table 4", 78.0, note=_OPEN),
    *(
        _ssv2(
            f"ssv2_divided:{argument}pretrain=in21k",
            "Table 4",
            top1,
            positions=positions,
            pretraining="in21k",
            note=_OPEN,
        )
        for argument, positions, top1 in (
            ("positions=none,", "none", 45.8),
            ("positions=space,", "space", 52.5),
            ("", "space_time", 59.5),
        )
    ),
    # Tables 5 to 7: the three models, and what the authors give of those that they released.
    _k400(
        "k400_divided",
        "Table 5",
        78.0,
        top5=93.7,
        released_top1=77.9,
        released_top5=93.2,
        parameters=121.4,
        tera_macs=0.59,
        weights="facebook/timesformer-base-finetuned-k400",
    ),
    _k400(
        "k400_divided_hr",
        "Table 5",
        79.7,
        top5=94.4,
        released_top1=79.6,
        released_top5=94.0,
        tera_macs=5.11,
        weights="facebook/timesformer-hr-finetuned-k400",
        **_HR,
    ),
    _k400(
        "k400_divided_l",
        "Table 5",
        80.7,
        top5=94.7,
        released_top1=80.6,
        released_top5=94.7,
        tera_macs=7.14,
        **_L,
    ),
    _k600(
        "k600_divided",
        79.1,
        top5=94.4,
        released_top1=79.1,
        released_top5=94.4,
        weights="facebook/timesformer-base-finetuned-k600",
    ),
    _k600(
        "k600_divided_hr",
        81.8,
        top5=95.8,
        released_top1=81.8,
        released_top5=95.8,
        weights="facebook/timesformer-hr-finetuned-k600",
        **_HR,
    ),
    _k600("k600_divided_l", 82.2, top5=95.6, released_top1=82.2, released_top5=95.6, **_L),
    _ssv2(
        "ssv2_divided",
        "Table 7",
        59.5,
        released_top1=59.1,
        released_top5=85.6,
        weights="facebook/timesformer-base-finetuned-ssv2",
    ),
    _ssv2(
        "ssv2_divided_hr",
        "Table 7",
        62.2,
        released_top1=61.8,
        released_top5=86.9,
        weights="facebook/timesformer-hr-finetuned-ssv2",
        **_SSV2_HR,
    ),
    _ssv2(
        "ssv2_divided_l",
        "Table 7",
        62.4,
        released_top1=62.0,
        released_top5=87.5,
        note="64 frames in the released config.",
        **_SSV2_L,
    ),
    _diving48("diving48_divided", 74.9),
    _diving48("diving48_divided_hr", 78.0, **_HR),
    _diving48("diving48_divided_l", 81.0, **_L),
    # Table 8: long videos, by frames of a clip and clips of a video.
    *(
        _howto100m(frames, clips, pretraining, top1)
        for frames, clips, of_pretraining in (
            (8, 48, {"k400": 56.8, "in1k": 52.8, "in21k": 56.0}),
            (32, 12, {"k400": 61.2, "in1k": 58.4, "in21k": 59.2}),
            (64, 6, {"k400": 62.2, "in1k": 59.2, "in21k": 60.2}),
            (96, 4, {"k400": 62.6, "in1k": 59.4, "in21k": 62.1}),
        )
        for pretraining, top1 in of_pretraining.items()
    ),
    # Section 4.7: other sizes and orders; only differences are told.
    _k400("k400_divided:variant=L/16", "section 4.7", variant="L/16", difference=-1.0),
    _ssv2(
        "ssv2_divided:variant=L/16,pretrain=in21k",
        "section 4.7",
        None,
        variant="L/16",
        pretraining="in21k",
        difference=-1.0,
    ),
    _k400("k400_divided:variant=S/16", "section 4.7", variant="S/16", difference=-5.0),
    _k400("k400_divided:variant=B/32", "section 4.7", variant="B/32", difference=-3.0),
    _k400(
        "k400_divided:order=space_time",
        "section 4.7",
        scheme="divided_space_first",
        difference=-0.5,
    ),
    _k400("k400_divided:order=parallel", "section 4.7", scheme="divided_parallel", difference=-0.4),
)
