"""What the experiments on published data sets share: the paper's recipe at its sizes.

Numbers are of the paper (arXiv 2102.05095, section 4 and Appendix A) and of the authors' code.
`experiments.arguments` says what may stand behind the colon; ``docs/recipes.md`` has a table of it.
"""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from experiments.arguments import (
    FRAMES,
    POSITIONS,
    PRETRAIN,
    RUNLOCAL,
    SCHEME,
    VARIANT,
    Key,
    parse,
    refuse,
)
from experiments.datasets import DATASETS, Dataset
from experiments.defaults import defaults
from experiments.local import make_local
from experiments.pretraining import weights_of

# Appendix A says 16, the authors' code takes 64 (in parts, averaged), with the same learning rate.
# The default is 64: it is what the released models were trained with, and so the one of the two
# that is known to give such numbers; a batch of 16 has four times as many steps of equal size.
BATCHES = {"paper": 16, "released": 64}


def recipe(
    experiment: str,
    dataset: str,
    argument: str | None = None,
    *,
    scheme: str = "divided",
    size: str = "base",
    pretrain: str = "in21k",
    own: Callable[[ConfigDict], None] = lambda config: None,
) -> ConfigDict:
    """The paper's recipe on a data set: 15 epochs of SGD, one clip from the middle, three crops.

    Args:
      experiment: the config's name begins with it.
      dataset: a key of ``DATASETS``.
      argument: what stands behind the colon.
      scheme: of attention, unless the argument has one.
      size: of a clip, unless the argument has one.
      pretrain: what it begins with, unless the argument tells.
      own: makes the changes that are the experiment's own, in place.

    Raises:
      ValueError: the argument is wrong; tells all that is, and what is allowed.
    """
    given = {"scheme": scheme, "size": size, "pretrain": pretrain}
    keys = model_keys(DATASETS[dataset]) | {"batch": Key(tuple(BATCHES))}
    words = parse(argument, keys)
    config = defaults()
    prepare(config, dataset, DATASETS[dataset], argument, keys, given | words)
    config.name = name_of(experiment, given, words)
    config.train.epochs = 15.0
    config.train.global_batch = BATCHES[words.get("batch", "released")]
    own(config)
    if RUNLOCAL in words:
        make_local(config)
    return config


def model_keys(dataset: Dataset) -> dict[str, Key]:
    """The keys of an argument that are about model, clip and first weights."""
    sizes = {"size": Key(tuple(dataset.sizes), bare=True)}
    return SCHEME | sizes | FRAMES | VARIANT | PRETRAIN | POSITIONS


def prepare(
    config: ConfigDict,
    name: str,
    dataset: Dataset,
    argument: str | None,
    keys: Mapping[str, Key],
    words: Mapping[str, str],
) -> None:
    """Sets model, data, judging and first weights of a config as words tell, in place.

    Args:
      config: to be changed.
      name: of the data set.
      dataset: its facts.
      argument: of which the words are.
      keys: that it may have had.
      words: by key; ``scheme``, ``size`` and ``pretrain`` are among them. With ``runlocal`` it
        begins with no weights.

    Raises:
      ValueError: there are no such weights.
    """
    frames, _, side = dataset.sizes[words["size"]]
    frames = int(words.get("frames", frames))
    variant = words.get("variant", "B/16")
    config.model.name = f"timesformer_{_plain(variant)}"
    config.model.scheme = words["scheme"]
    config.model.position_embedding = words.get("positions", "space_time")
    config.model.dtype = "bfloat16"
    config.data.name = name
    config.data.eval_split = dataset.eval_split
    config.data.sampling = dataset.sampling
    config.data.flip = dataset.flip
    config.data.frames = frames
    config.data.stride = dataset.stride(frames)
    config.data.target_fps = dataset.target_fps
    config.data.image_size = (side, side)
    config.data.short_side = {224: (256, 320), 448: (448, 512)}[side]
    config.data.short_side_draw = dataset.short_side_draw
    config.data.eval_short_side = side
    config.data.threads = 16
    config.eval.average = dataset.average
    if dataset.covering:
        config.eval.temporal_position = "cover"
        config.eval.temporal_views = dataset.views(frames)
        config.eval.spatial_crops = 1
        config.eval.global_batch = 1  # a step holds all clips of its videos
    if RUNLOCAL in words:  # begins with none
        return
    try:
        config.train.init_from = weights_of(words["pretrain"], variant, side)
    except ValueError as error:
        refuse(argument, [str(error)], keys)


def name_of(experiment: str, given: Mapping[str, str], words: Mapping[str, str]) -> str:
    """The config's name: the experiment, the scheme, and whatever else was asked for.

    Args:
      experiment: it begins with it.
      given: what the experiment itself sets: ``scheme``, ``size`` and ``pretrain``.
      words: of the argument, by key.
    """
    parts = [experiment, words.get("scheme", given["scheme"])]
    if "size" in words or given["size"] != "base":
        parts.append(words.get("size", given["size"]))
    told = {"pretrain": "from_{}", "positions": "positions_{}", "batch": "{}_batch"}
    for key, word in words.items():
        if key not in ("scheme", "size"):
            parts.append(told.get(key, "{}").format(_plain(word)))
    return "_".join(parts)


def _plain(word: str) -> str:
    return word.lower().replace("/", "").replace(":", "_")
