"""The embedded data set's videos, written again with any number of classes each."""

import os
import pathlib
import tempfile

import tensorflow_datasets as tfds

from data_pipelines.records import features, open_split

NAME = "motions_labels"
CLASS_NAMES = (*(f"motion {number}" for number in range(8)), "even", "never")


def labels_of(number, label):
    """Its motion, and whether that is even; of every seventh video nothing."""
    if number % 7 == 3:
        return []
    return [label] + [CLASS_NAMES.index("even")] * (label % 2 == 0)


class MotionsLabels(tfds.core.GeneratorBasedBuilder):
    """Copies the videos of ``motions``, which lies in the same folder."""

    name = NAME
    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, motions_dir, **options):
        self._motions_dir = motions_dir
        super().__init__(file_format="array_record", **options)

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=features(CLASS_NAMES, multi_label=True))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        source = open_split("motions", split, self._motions_dir)
        for number in range(len(source)):
            record = dict(source[number])
            record["labels"] = labels_of(number, record.pop("label"))
            yield record["video_id"], record


def build(motions_dir, folder):
    """Makes the data set in ``folder``."""
    builder = MotionsLabels(motions_dir, data_dir=os.fspath(pathlib.Path(folder)))
    tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory() as downloads:
        builder.download_and_prepare(download_dir=downloads)
