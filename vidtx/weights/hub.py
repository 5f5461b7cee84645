"""Models by their names on Hugging Face's Hub, kept on this machine."""

import os
import pathlib
import re
from collections.abc import Iterator

import huggingface_hub
from huggingface_hub import constants, errors

from vidtx.errors import ConfigError, MachineError
from vidtx.weights.files import NAMES, SUFFIXES

PREFIX = "hf:"
_NAME = re.compile(
    r"hf:(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w-][\w./-]*))?", re.ASCII
)
_CONFIGS = ("config.json", "preprocessor_config.json", "video_preprocessor_config.json")
_ELSEWHERE = "or download its files elsewhere and give the folder that they are in"


def fetch(name: str, *, cache: str | os.PathLike | None = None) -> pathlib.Path:
    """Downloads what is needed of a model, once; later, and without a network, it is there.

    Args:
      name: ``hf:OWNER/NAME``, with ``@REVISION`` for a branch, a tag or a commit.
      cache: folder in which models are kept; None for that of `huggingface_hub`, which environment
        variables such as ``HF_HOME`` say, as ``HF_TOKEN`` does who is asking.

    Returns:
      The folder with its weights and configs.

    Raises:
      ConfigError: the name is none, or nothing of that name may be had.
      MachineError: the Hub cannot be reached, and the model was not downloaded before.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"{name!r} is no name of a model on the Hub: hf:OWNER/NAME or hf:OWNER/NAME@REVISION, "
            "such as hf:facebook/timesformer-base-finetuned-k400."
        )
    repository, revision = match["repository"], match["revision"]
    try:
        model = huggingface_hub.HfApi().model_info(repository, revision=revision)
        files = _needed([file.rfilename for file in model.siblings or ()])
        if files:
            folder = huggingface_hub.snapshot_download(
                repository,
                revision=revision,
                cache_dir=cache,
                allow_patterns=files,
            )
            return pathlib.Path(folder)
    except errors.GatedRepoError as error:
        raise ConfigError(
            f"{name} is given to those alone who were granted it: ask for it at "
            f"{constants.ENDPOINT}/{repository} and log in with `hf auth login`, "
            f"{_ELSEWHERE}."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ConfigError(
            f"{repository} has no revision {revision} on the Hub. Name another, {_ELSEWHERE}."
        ) from error
    except (errors.RepositoryNotFoundError, errors.DisabledRepoError) as error:
        raise ConfigError(
            f"There is no {name} on the Hub, or it is private. Mend the name, log in with `hf auth "
            f"login`, {_ELSEWHERE}."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        return _kept(name, repository, revision, cache, "HF_HUB_OFFLINE is set", error)
    # Whatever else goes wrong is between here and there; its errors change with the version.
    except Exception as error:
        return _kept(name, repository, revision, cache, f"{type(error).__name__}: {error}", error)
    raise ConfigError(
        f"{name} has no file of weights that vidtx knows ({', '.join(SUFFIXES)}) at the top of its "
        f"repository. Name another model, {_ELSEWHERE}."
    )


def _kept(
    name: str,
    repository: str,
    revision: str | None,
    cache: str | os.PathLike | None,
    why: str,
    error: Exception,
) -> pathlib.Path:
    """The folder of what was downloaded before."""
    for folder in _snapshots(repository, revision or "main", cache):
        if _needed(os.listdir(folder)):
            return folder
    raise MachineError(
        f"{name} cannot be downloaded, and was not before: {why}. Try again where there is a "
        f"network, {_ELSEWHERE}."
    ) from error


def _snapshots(
    repository: str, revision: str, cache: str | os.PathLike | None
) -> Iterator[pathlib.Path]:
    try:
        kept = huggingface_hub.scan_cache_dir(cache or constants.HF_HUB_CACHE)
    except errors.CacheNotFound:
        return
    for model in kept.repos:
        if (model.repo_type, model.repo_id) == ("model", repository):
            for snapshot in model.revisions:
                if revision in snapshot.refs or revision == snapshot.commit_hash:
                    yield snapshot.snapshot_path


def _needed(there: list[str]) -> list[str]:
    """Which files of a repository to download: configs, and the best of its weights."""
    top = [file for file in there if "/" not in file]
    configs = [file for file in top if file in _CONFIGS]
    name = next((name for name in NAMES if name in top), None)
    if name is None:
        # One of another name, as authors publish them; several are told apart by a person.
        weights = [file for file in top if file.endswith(SUFFIXES)]
    elif name.endswith(".index.json"):
        stem, suffix = os.path.splitext(name.removesuffix(".index.json"))
        shard = re.compile(rf"{re.escape(stem)}-\d+-of-\d+{re.escape(suffix)}")
        weights = [name, *filter(shard.fullmatch, top)]
    else:
        weights = [name]
    return [*configs, *weights] if weights else []
