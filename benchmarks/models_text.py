"""The prose of docs/models.md; `benchmarks.models` puts its tables between."""

OPENING = """\
<!-- Written by python -m benchmarks.models; change that, not this. -->
# Published models

Every run that the paper reports (*Is Space-Time Attention All You Need for Video Understanding?*,
arXiv 2102.05095), what it costs, and the config that starts it. **No accuracy on this page was
reproduced here.** They are the paper's; *released model's* are what the authors give of the models
that they released with their code, which was not quite what the paper's were trained with. Both are
of whole videos, over all views.

This page is written by `python -m benchmarks.models`, from `experiments/published.py`, the configs,
and what `vidtx compile` said.

## A run of the tables

    python -m vidtx.main --config=CONFIG --workdir=runs/NAME

trains it and judges it, with the name in the column *config*; `vidtx data build` makes its data set
first ([`data.md`](data.md)). `CONFIG:…,runlocal` does the same within a minute on a laptop, on data
that need no download. Recipes, and what else may stand behind the colon, are in
[`recipes.md`](recipes.md).

- *frames × stride*: frames of a clip, and from one to the next at the video's own rate. *spread*:
  one frame of each of so many equal parts of the video.
- *parameters* and *GMACs* (10⁹ multiply-adds) are counted from the config, with the classes of its
  data set; `vidtx describe --config=CONFIG` prints both, part by part. *× views*: a video is judged
  over so many clips, clips over time times crops. The paper calls multiply-adds of all views FLOPs,
  and the parameters in its Table 1 are those of 174 classes.
- *about −1*: points, against divided attention and ViT-B/16 of the same table. Section 4.7 tells
  these differences alone, and that roughly.
- *pre-training*: what the paper's run began with. `train.init_from` says which weights the config
  takes for it; for ImageNet-21K the authors do not tell the file.

## The trained weights

The Hugging Face Hub has six of the released models; the column *weights* links them. They are
**CC-BY-NC 4.0: not for commercial use**. The larger ones are to be had from the authors' page alone
(github.com/facebookresearch/TimeSformer, files `.pyth`), under the same licence.

    vidtx convert hf:facebook/timesformer-base-finetuned-k400 k400
    vidtx convert TimeSformer_divST_96x4_224_K400.pyth k400_l

makes vidtx checkpoints of them ([`weights.md`](weights.md)), and `vidtx.load` takes the same names.
`–`: this page knows of no published weights.

## The runs"""

# Numbers of videos are the paper's.
DATASETS = {
    "Kinetics-400": "About 240,000 videos to train with, and 20,000 to judge on.",
    "Kinetics-600": "About 392,000 videos to train with, and 30,000 to judge on.",
    "Something-Something V2": (
        "About 170,000 videos to train with, and 25,000 to judge on. The released models are fed "
        "BGR, and so are those of these configs."
    ),
    "Diving-48": "About 16,000 videos to train with, and 3,000 to judge on.",
    "HowTo100M": (
        "The paper takes 1059 classes and splits 120,000 videos at random, 85,000 to 35,000; the "
        "split is not published. Views are the clips that cover a video on average, one crop "
        "each. The authors' page lists models of this data set, too; that of 64 frames is of 224², "
        "though it says 448. `vidtx describe` wants `--classes=1059`."
    ),
    "UCF101": "The paper does not report it; the config is for fine-tuning.",
    "HMDB51": "The paper does not report it; the config is for fine-tuning.",
}

TAKES = """\
## What training takes: estimated by the compiler, and never run

A row for each model and clip, whatever its classes, position embedding and pre-training, which do
not matter here. Each is

    vidtx compile --config=CONFIG --topology=SLICE --config.model.remat=REMAT \\
        --config.train.global_batch=N

for the smallest slice that can be rented, in bfloat16, with SGD and momentum: the train step, laid
out by the TPU's own compiler. It was compiled with one and with two blocks, from which the others
follow; [`scaling.md`](scaling.md) says how far off that is, how far each number can be trusted, and
what to do with clips that do not fit.

- *clips a chip*: the largest power of two that fits, with memory in proportion to the clips that it
  was *compiled with* (N is that times the chips). *memory*: of a chip, with so many. A batch of 64,
  as published, is reached with more chips or with `train.accumulate`.
- *roofline*: the least time, by products at the chip's peak or by HBM traffic, whichever is
  larger. *cycles*: the slower of that and the compiler's own estimate. A real step is slower than
  both.
- *MFU at most*: the model's own multiply-adds against the slower of the two."""

CLOSING = """\
The v5p's slice has four chips, each with its own clips; what they tell each other is in
`docs/models.json` and [`scaling.md`](scaling.md), as is all else that the compiler said."""
