"""What an exported folder says in words: its preprocessing, and its README.md."""

from collections.abc import Mapping
from typing import Any

from vidtx.inference.preprocessing import Preprocessing

__all__ = ["preprocessing_in_words", "readme"]

_MEANINGS = {
    "frames": "T: frames of a clip",
    "stride": "frames from one of a clip to the next, of the video or at target_fps",
    "target_fps": "frames a second that the stride counts in; null for each video's own",
    "sampling": "stride: frames lie a stride apart, to the nearest. span: they are spread evenly "
    "over frames · stride frames, ends included, cut to whole numbers. segments: the video is cut "
    "into T segments, and the middle frame of each is taken",
    "temporal_views": "clips of a video (cover: the most of them)",
    "temporal_position": "where they lie. middle: one in the middle, or several evenly spread from "
    "the first possible start to the last. start: clip k of K begins at k/K of the last possible "
    "start. cover: one behind the other over the whole video",
    "short_videos": "of a video shorter than a clip: repeat_last holds its last frame, loop begins "
    "it again",
    "short_side": "pixels that the shorter side of an upright frame is resized to",
    "height": "pixels of the crop that is then cut out",
    "width": "pixels of the crop",
    "spatial_crops": "1: the centre. 3: also the two ends of the longer side",
    "resizing": "the window that a crop shows is rounded to whole pixels, cut out, and resized by "
    "OpenCV: INTER_LINEAR, or INTER_AREA where it shrinks by more than 2",
    "pixels": "uint8, red, green, blue; the program does the rest itself",
    "channel_order": "in which the model is fed; the program turns it",
    "mean": "of each channel in that order: (pixels / 255 - mean) / std; the program does it",
    "std": "the same",
    "multi_label": "false: softmax over the logits of a clip. true: a sigmoid of each",
    "average": "softmax: the probabilities of a video's clips and crops are averaged. logits: "
    "their logits are, and then become probabilities",
}


def preprocessing_in_words(preprocessing: Preprocessing) -> dict[str, Any]:
    """All that leads from a video to clips, and from logits to probabilities.

    Returns:
      Plain values by name, and under ``meaning`` a sentence for each.
    """
    clips = preprocessing.clips
    values = {
        "frames": clips.frames,
        "stride": clips.stride,
        "target_fps": clips.target_fps,
        "sampling": clips.sampling,
        "temporal_views": clips.temporal_views,
        "temporal_position": clips.temporal_position,
        "short_videos": clips.short,
        "short_side": clips.eval_short_side,
        "height": clips.crop[0],
        "width": clips.crop[1],
        "spatial_crops": clips.spatial_crops,
        "resizing": "opencv",
        "pixels": "uint8 rgb",
        "channel_order": preprocessing.channel_order,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
        "multi_label": preprocessing.multi_label,
        "average": preprocessing.average,
    }
    return {**values, "notes": list(preprocessing.notes), "meaning": _MEANINGS}


def readme(manifest: Mapping[str, Any]) -> str:
    """README.md of an exported folder.

    Args:
      manifest: ``export.json``, but for the digests.
    """
    model, parts, reference = manifest["model"], manifest["parts"], manifest["reference"]
    one = ", ".join(map(str, manifest["inputs"]["clips"]["shape"][1:]))
    count = f"{reference['clips']} clip{'' if reference['clips'] == 1 else 's'}"
    notes = "".join(f"* {note}\n" for note in manifest["notes"])
    return f"""# A video model, exported by vidtx {manifest["vidtx"]}

TimeSformer, {model["scheme"]} attention, {manifest["inputs"]["weights"]["parameters"]:,} \
parameters, {model["num_classes"]:,} classes, computing in {manifest["dtype"]}. The program runs
on {", ".join(manifest["platforms"])}, for any number of clips at once.

    pip install jax flatbuffers safetensors av opencv-python-headless
    python run.py clip.mp4         # the likeliest classes
    python run.py --verify         # whether files and answers are as exported

In Python, beside `run.py`:

```python
from run import Exported, average, clips_of

model = Exported(".")
clips = clips_of("clip.mp4", model.preprocessing)  # uint8 [V, {one}], RGB
logits, features = model(clips)
probabilities = average(logits, model.preprocessing)
```

| file | |
|---|---|
| `{parts["program"]}` | `jax.export`: `(weights by name, clips uint8 [b, {one}]) -> (logits, \
features)`; it normalises itself |
| `{parts["weights"]}` | its weights, float32, by name; they are arguments, not part of it |
| `{parts["labels"]}` | names of the classes, in the order of the logits |
| `{parts["preprocessing"]}` | from a video to clips and from logits to probabilities, in numbers \
and in words |
| `{parts["reference"]}` | {count} ({reference["of"]}) with the model's logits \
and features |
| `export.json` | shapes, versions, what is known of the weights, and a digest of every file |

The program answered the reference as the model does: on {reference["platform"]} the largest
difference of a logit was {reference["difference"]:.3g}; at most \
{reference["bounds"][_bound(reference)]:.3g} is allowed.

It was written by JAX {manifest["jax"]}, with version {manifest["calling_convention_version"]} of
jax.export's calling convention. JAX promises that a JAX up to six months newer runs it, and one up
to three weeks older.
Weights do not age: vidtx takes this folder wherever it takes weights (`vidtx predict
--weights=FOLDER`, `vidtx export --weights=FOLDER --out=NEW`).
{"" if not notes else chr(10) + notes}"""


def _bound(reference: Mapping[str, Any]) -> str:
    return "cpu" if reference["platform"] == "cpu" else "elsewhere"
