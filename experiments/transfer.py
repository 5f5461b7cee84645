"""What the recipes of today share: any data set, published or one's own, from published weights."""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from experiments.arguments import RUNLOCAL, Key, parse
from experiments.datasets import Dataset, known
from experiments.defaults import defaults
from experiments.local import make_local
from experiments.recipes import model_keys, name_of, prepare

# Of a data set that is not known, nor how long its videos are: a frame of each of so many equal
# parts, so that a clip spans its video in any case. What it is judged on is the split that a build
# or a folder without splits has; one with a ``validation`` needs data.eval_split, and says so.
_OWN = Dataset("test", sampling="segments")


def transfer(
    experiment: str,
    argument: str | None,
    own: Callable[[ConfigDict, Mapping[str, str]], None],
    *,
    keys: Mapping[str, Key] | None = None,
) -> ConfigDict:
    """A recipe for the data set that an argument names.

    It begins with the released TimeSformer of Kinetics-400; on Kinetics itself, and in sizes that
    were not released, with the ViT of ImageNet-21K.

    Args:
      experiment: the config's name begins with it.
      argument: what stands behind the colon. ``dataset=NAME`` or ``dataset=NAME:VERSION`` is one
        of ``DATASETS`` or one's own, ucf101 unless given; ``source=folder`` reads videos as they
        are.
      own: makes the recipe's own changes, in place, of a config and the argument's words.
      keys: that the recipe takes beyond the shared ones.

    Raises:
      ValueError: the argument is wrong; tells all that is, and what is allowed.
    """
    named = [word for word in (argument or "").split(",") if word.startswith("dataset=")]
    name = (named[0].removeprefix("dataset=") if named else "") or "ucf101"
    dataset = known(name) or _OWN
    taken = {
        "dataset": Key(),
        "source": Key(("tfds", "folder")),
        **model_keys(dataset),
        **(keys or {}),
    }
    words = parse(argument, taken)
    released = words.get("variant", "B/16") == "B/16" and not name.startswith("kinetics")
    given = {
        "scheme": "divided",
        "size": "base",
        "pretrain": "k400" if released else "in21k",
    }
    config = defaults()
    prepare(config, name, dataset, argument, taken, given | words)
    config.data.source = words.get("source", "tfds")
    config.name = name_of(experiment, given, {"dataset": name} | words)
    own(config, words)
    if RUNLOCAL in words:
        make_local(config)
    return config
