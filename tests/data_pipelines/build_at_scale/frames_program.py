"""Makes and imports a data set of TFDS; run where TensorFlow is.

python frames_program.py make DIR
python frames_program.py import RESULT ARGUMENTS
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow_datasets as tfds


def picture_frames(number, num_frames, height=48, width=64):
    """Smooth colours that move, so that a video codec changes them little."""
    rows, columns = np.mgrid[:height, :width] / 16
    waves = [
        [np.sin(rows * (1 + channel) + columns + number + t / 3) for channel in range(3)]
        for t in range(num_frames)
    ]
    return np.round(128 + 90 * np.moveaxis(np.array(waves), 1, -1)).astype(np.uint8)


class TinyFrames(tfds.core.GeneratorBasedBuilder):
    """Videos as frames, beside another sequence of pictures."""

    VERSION = tfds.core.Version("3.1.0")

    def _info(self):
        side = tfds.features.Image(shape=(8, 8, 1))
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "clip": tfds.features.Video(
                        shape=(None, 48, 64, 3), ffmpeg_extra_args=("-r", "12")
                    ),
                    "label": tfds.features.ClassLabel(names=["rise", "fall"]),
                    "steps": tfds.features.Sequence({"side": side, "x": np.float32}),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 5), "test": self._generate_examples(5, 3)}

    def _generate_examples(self, start, count):
        for number in range(start, start + count):
            side = np.full((4, 8, 8, 1), 20 * number, np.uint8)
            yield (
                number,
                {
                    "clip": picture_frames(number, 6 + number),
                    "label": number % 2,
                    "steps": {"side": side, "x": np.arange(4)},
                },
            )


def bring_in(arguments):
    """Imports; returns what the tests look at."""
    from data_pipelines.tfds_import import import_frames

    stop_after = arguments.pop("stop_after", None)
    laid = []

    def laid_down(*progress):
        laid.append(progress)
        if len(laid) == stop_after:
            raise KeyboardInterrupt

    try:
        manifest = import_frames(laid_down=laid_down, shards=2, workers=1, **arguments)
    except KeyboardInterrupt:
        return {"laid": laid}
    return {
        "laid": laid,
        "fingerprint": manifest.fingerprint,
        "source": manifest.source,
        "class_names": manifest.class_names,
        "annotations": manifest.annotations,
        "records": {name: split.records for name, split in manifest.splits.items()},
    }


if __name__ == "__main__":
    if sys.argv[1] == "make":
        TinyFrames(data_dir=sys.argv[2]).download_and_prepare()
    else:
        answer = bring_in(json.loads(sys.argv[3]))
        pathlib.Path(sys.argv[2]).write_text(json.dumps(answer))
