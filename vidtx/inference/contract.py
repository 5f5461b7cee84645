"""What weights ask of whoever uses them, once they are those of another model."""

from collections.abc import Iterator, Sequence
from typing import Any

from vidtx.models import TimeSformer
from vidtx.weights import Report, Source
from vidtx.weights.match import HEAD
from vidtx.weights.source import MEAN, STD

__all__ = ["contract_of_model", "wrong_names"]


def contract_of_model(
    source: Source, model: TimeSformer, report: Report, class_names: Sequence[str] | None
) -> tuple[dict[str, Any], list[str]]:
    """What is known of the source, changed to what is true of the model.

    Args:
      source: the weights.
      model: that they were fitted to.
      report: of that, by which the head is new or not.
      class_names: in the order of the head, in place of the source's.

    Returns:
      The contract, with the keys of `vidtx.run.contract`, and what a person should know of it, a
      sentence each.
    """
    contract, notes = dict(source.contract), []
    then, now = source.architecture.image_size, model.image_size
    if "data.eval_short_side" in contract:
        contract["data.eval_short_side"] = round(
            contract["data.eval_short_side"] * min(now) / min(then)
        )
    contract |= {
        "data.frames": model.num_frames,
        "data.image_size": list(now),
        "model.name": source.architecture.name,
        "model.scheme": model.scheme,
        "model.position_embedding": model.position_embedding,
        "model.embed_dim": model.embed_dim,
        "model.depth": model.depth,
        "model.num_heads": model.num_heads,
    }
    if source.is_of_images:
        notes += _prepare_pictures(contract, source, model)
    if any(entry.ours.startswith(HEAD) for entry in report.of("new")):
        contract["head_is_new"] = True
    elif source.head_is_new:
        notes.append(
            f"The head of {source.path} was begun at random by a conversion, and was never trained."
        )
    if class_names is not None:
        contract["class_names"] = list(class_names)
    elif len(contract.get("class_names", ())) != model.num_classes:
        contract.pop("class_names", None)
    return contract, notes


def wrong_names(names: Sequence[str], classes: int, source: Source, *, asked: bool) -> list[str]:
    """What is wrong with names of classes, a sentence each.

    Args:
      names: in the order of the head.
      classes: how many there must be.
      source: the weights.
      asked: whether the number of classes was asked for, and is not that of the source's head.
    """
    problems = []
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        problems.append(f"class_names has {', '.join(map(repr, twice))} more than once.")
    if len(names) != classes:
        head = f"num_classes is {classes}" if asked else f"the head of {source.path} has {classes}"
        problems.append(
            f"class_names has {len(names)} names, and {head}. Name every class in the order of the "
            f"head{'' if asked else f', or say num_classes={len(names)}, for a new head'}."
        )
    return problems


def _prepare_pictures(
    contract: dict[str, Any], source: Source, model: TimeSformer
) -> Iterator[str]:
    """Puts into a contract how pictures, or clips, are prepared for what was an image model."""
    authors = {"data.mean": [MEAN] * 3, "data.std": [STD] * 3}
    stated = {name: contract[name] for name in authors if name in contract}
    contract |= {"data.channel_order": "rgb"} | contract | authors
    if model.scheme == "space" and model.num_frames == 1:  # an image model still
        contract |= stated
        if not stated:
            yield (
                f"Nothing says how the pictures of {source.path} were prepared: data.mean {MEAN} "
                f"and data.std {STD} are those of the authors' video models. An image model mostly "
                "has others: feed it as it was trained."
            )
    elif stated and stated != authors:
        yield (
            f"The weights of {source.path} were trained on pictures prepared with mean "
            f"{stated['data.mean']} and deviation {stated['data.std']}. A model of clips does not "
            f"take them over: the authors began from image models with {MEAN} and {STD}."
        )
