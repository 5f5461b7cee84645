"""Ways to damage a data set called `demo`, and what an audit calls them."""

import json

import tensorflow_datasets as tfds
from array_record.python import array_record_module

CLASS_NAMES = ("falling", "rising", "turning")


def shards(folder, split="train"):
    return sorted(folder.glob(f"demo-{split}.array_record*"))


def records_of(folder, path):
    declared = tfds.builder_from_directory(folder).info.features
    reader = array_record_module.ArrayRecordReader(str(path))
    return [declared.deserialize_example_np(content) for content in reader.read_all()]


def rewrite(folder, change, shard=0, declared=None):
    """Writes a shard again, with whatever ``change`` makes of each of its records."""
    path = shards(folder)[shard]
    declared = declared or tfds.builder_from_directory(folder).info.features
    records = records_of(folder, path)
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for number, record in enumerate(records):
        record = change(number, dict(record))
        writer.write(declared.serialize_example(declared.encode_example(record)))
    writer.close()


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def kinds(found):
    return sorted({problem.kind for problem in found.problems})
