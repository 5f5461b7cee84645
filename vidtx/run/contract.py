"""What weights ask of whoever uses them: how clips were prepared, and what the classes are called.

It is saved in every checkpoint (``contract/metadata``, JSON), as a checkpoint may be copied away
from the ``config.json`` of its run.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vidtx.config import RunSpec
from vidtx.errors import ConfigError
from vidtx.inference.recorded import LAYOUT, RECORDED
from vidtx.sharding.processes import raised_by_all
from vidtx.weights import Source

# With other ones the same video is another input to the model, and nothing else would tell.
_PREPARED = ("mean", "std", "channel_order")
# These may change on purpose: longer clips, another rate. A person should know.
_SAMPLED = ("frames", "stride", "sampling", "target_fps", "image_size", "short_videos")


def contract_of(spec: RunSpec, class_names: tuple[str, ...], fingerprint: str) -> dict[str, Any]:
    """What is saved with the weights of a run, as plain values, ready for JSON.

    Args:
      spec: the run.
      class_names: in the order of the head.
      fingerprint: of the data set.
    """
    return {
        **{name: _plain(_option(spec, name)) for name in RECORDED},
        "class_names": list(class_names),
        "dataset": spec.data.name,
        "fingerprint": fingerprint,
    }


def check_contract(source: Source, spec: RunSpec, note: Callable[[str], None]) -> None:
    """Compares what weights ask for with what this run does.

    Args:
      source: the weights; what their contract says nothing of is taken as it is.
      spec: the run that is to begin with them.
      note: told what differs and may be meant so.

    Raises:
      ConfigError: means, deviations or the order of channels are others, and the weights were
        trained on clips. Weights trained on other colours learn on, only worse, and nobody finds
        out why. Of pictures it is noted, as the authors began from image models of other means.
    """
    contract = source.contract
    lines = list(_different(contract, spec, [f"data.{name}" for name in _PREPARED]))
    if source.is_of_images:
        if lines:
            note(
                f"NOTE: the weights of {source.path} were trained on pictures alone. That clips "
                f"are prepared in another way is no error:\n{_listed(lines)}"
            )
        return
    if lines:
        cures = " ".join(f"--config.{name}={_written(contract[name])}" for name, _, _ in lines)
        copy = (
            "copy the checkpoint alone"
            if source.layout == LAYOUT
            else f"make a checkpoint of them (vidtx convert {source.path} COPY)"
        )
        raise raised_by_all(
            ConfigError(
                f"train.init_from: the weights of {source.path} were trained on clips that were "
                f"prepared in another way:\n{_listed(lines)}\nPrepare them alike: {cures}\n"
                f"Where it is meant so, {copy} and delete the folder `contract` of the copy."
            )
        )
    lines = list(_different(contract, spec, [f"data.{name}" for name in _SAMPLED]))
    if lines:
        note(
            f"NOTE: the weights of {source.path} were trained with other options:\n{_listed(lines)}"
        )


def head_taken(
    source: Source, num_classes: int, class_names: tuple[str, ...] | None
) -> tuple[bool, str | None]:
    """Whether the head of weights tells this run's classes apart, and what a person should know.

    Args:
      source: the weights.
      num_classes: of the run.
      class_names: of its data set, in the order of the head; None where they are not known.
    """
    there = source.architecture.num_classes
    anew = f"The head is not taken from {source.path}, it begins anew"
    if there is None:
        return False, None
    if source.head_is_new:
        return False, f"{anew}: a conversion began it at random, and nothing has trained it."
    if source.is_of_images:
        return False, f"{anew}: it tells {there:,} kinds of pictures apart."
    if there != num_classes:
        return False, f"{anew}: it is of {there:,} classes, and this data set has {num_classes:,}."
    trained = source.contract.get("class_names")
    if trained is None or class_names is None:
        whose = "of these weights" if trained is None else "of this data set"
        return True, (
            f"The head is taken from {source.path}, as it is of {there:,} classes too; the names "
            f"{whose} are not on record, so that nobody knows whether they are the same classes."
        )
    pairs = enumerate(zip(trained, class_names, strict=False))
    row = next((row for row, (then, now) in pairs if then != now), None)
    if row is None:
        return True, None
    return False, (
        f"{anew}: its class {row} is {trained[row]!r}, and that of this data set "
        f"{class_names[row]!r}."
    )


def _different(
    contract: Mapping[str, Any], spec: RunSpec, names: list[str]
) -> Iterator[tuple[str, Any, Any]]:
    for name in names:
        now = _plain(_option(spec, name))
        if name in contract and contract[name] != now:
            yield name, contract[name], now


def _option(spec: RunSpec, name: str) -> Any:
    group, key = name.split(".")
    return getattr(getattr(spec, group), key)


def _listed(lines: list[tuple[str, Any, Any]]) -> str:
    return "\n".join(
        f"  - {name}: {_shown(then)} then, {_shown(now)} now" for name, then, now in lines
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return repr(tuple(value) if isinstance(value, list) else value)


def _written(value: Any) -> str:
    """As on a command line."""
    return f"'{tuple(value)}'" if isinstance(value, list) else str(value)
