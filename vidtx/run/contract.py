"""What weights ask of whoever uses them: how clips were prepared, and what the classes are called.

It is saved in every checkpoint (``contract/metadata``, JSON), as a checkpoint may be copied away
from the ``config.json`` of its run.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vidtx.checkpoints import Weights
from vidtx.config import RunSpec
from vidtx.errors import ConfigError
from vidtx.sharding.processes import raised_by_all

# With other ones the same video is another input to the model, and nothing else would tell.
_PREPARED = ("mean", "std", "channel_order")
# These may change on purpose: longer clips, another rate. A person should know.
_SAMPLED = ("frames", "stride", "sampling", "target_fps", "image_size", "short_videos")
_EVALUATED = ("eval_short_side",)
_MODEL = ("name", "scheme", "position_embedding", "embed_dim", "depth", "num_heads")


def contract_of(spec: RunSpec, class_names: tuple[str, ...], fingerprint: str) -> dict[str, Any]:
    """What is saved with the weights of a run, as plain values, ready for JSON.

    Args:
      spec: the run.
      class_names: in the order of the head.
      fingerprint: of the data set.
    """
    options = {f"data.{name}": getattr(spec.data, name) for name in _PREPARED + _SAMPLED}
    options |= {f"data.{name}": getattr(spec.data, name) for name in _EVALUATED}
    options |= {f"model.{name}": getattr(spec.model, name) for name in _MODEL}
    return {
        **{name: _plain(value) for name, value in options.items()},
        "data.multi_label": spec.data.multi_label,
        "class_names": list(class_names),
        "dataset": spec.data.name,
        "fingerprint": fingerprint,
    }


def check_contract(weights: Weights, spec: RunSpec, note: Callable[[str], None]) -> None:
    """Compares what weights of another run ask for with what this run does.

    Args:
      weights: of a checkpoint; those without a contract are taken as they are.
      spec: the run that is to begin with them.
      note: told what differs and may be meant so.

    Raises:
      ConfigError: means, deviations or the order of channels are others. Weights trained on other
        colours learn on, only worse, and nobody finds out why.
    """
    contract = weights.contract
    if contract is None:
        return
    lines = list(_different(contract, spec, [f"data.{name}" for name in _PREPARED]))
    if lines:
        cures = " ".join(f"--config.{name}={_written(contract[name])}" for name, _, _ in lines)
        raise raised_by_all(
            ConfigError(
                f"train.init_from: the weights of {weights.source} were trained on clips that were "
                f"prepared in another way:\n{_listed(lines)}\nPrepare them alike: {cures}\n"
                "Where it is meant so, copy the checkpoint and delete the folder `contract` of the "
                "copy."
            )
        )
    names = [f"data.{name}" for name in _SAMPLED] + ["model.scheme"]
    lines = list(_different(contract, spec, names))
    if lines:
        note(
            f"NOTE: the weights of {weights.source} were trained with other options:\n"
            f"{_listed(lines)}"
        )


def with_fitting_head(
    weights: Weights, class_names: tuple[str, ...], note: Callable[[str], None]
) -> Weights:
    """The weights, without a head that tells other classes apart.

    Args:
      weights: of a checkpoint.
      class_names: of the data set of the run that is to begin with them.
      note: told if the head is left out.
    """
    trained = (weights.contract or {}).get("class_names")
    if not weights.has_head or trained is None or tuple(trained) == class_names:
        return weights
    row = next(row for row, (a, b) in enumerate(zip(trained, class_names, strict=True)) if a != b)
    note(
        f"NOTE: the head is not taken from {weights.source}, it begins anew: its class {row} is "
        f"{trained[row]!r}, and that of this data set {class_names[row]!r}."
    )
    return weights.without_head()


def _different(
    contract: Mapping[str, Any], spec: RunSpec, names: list[str]
) -> Iterator[tuple[str, Any, Any]]:
    for name in names:
        group, key = name.split(".")
        now = _plain(getattr(getattr(spec, group), key))
        if name in contract and contract[name] != now:
            yield name, contract[name], now


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
