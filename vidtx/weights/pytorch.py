"""PyTorch's files, read without running what is pickled in them. Alone in importing torch."""

import pathlib
import re
import zipfile
from typing import Any

from vidtx.errors import CheckpointError, MachineError
from vidtx.weights.stored import Stored, damaged

_OLDEST = (2, 6)
_REFUSED = re.compile(r"GLOBAL ([\w.]+)|[Uu]nsupported class ([\w.]+)")


def load(path: pathlib.Path) -> Any:
    """What a file of `torch.save` holds, with `Stored` in the place of every tensor.

    Args:
      path: the file, of any version of PyTorch.

    Raises:
      MachineError: torch is not installed, or too old to refuse to run what is in a file.
      CheckpointError: the file is damaged, or holds objects other than tensors and plain values.
    """
    torch = _torch()
    try:
        # Only the newer of PyTorch's two formats can stay on disk until a tensor is needed.
        held = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (MemoryError, FileNotFoundError, PermissionError):
        raise
    # A damaged pickle can fail in any way at all.
    except Exception as error:
        if refused := _REFUSED.search(str(error)):
            name = refused[1] or refused[2]
            raise CheckpointError(
                f"{path} holds an object of {name} besides tensors, and reading it would mean "
                "running code that comes with the file. Where you trust it, load it with the "
                "program that wrote it and save the weights alone: "
                'torch.save({"model": model.state_dict()}, PATH).'
            ) from error
        raise damaged(path, str(error).partition("\n")[0] or type(error).__name__) from error
    return _without_tensors(torch, held)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MachineError(
            f"Files of PyTorch need it to be read, and it is not installed ({error}): "
            "pip install 'vidtx[torch]'. A .safetensors file of the same weights needs nothing."
        ) from error
    version = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if version < _OLDEST:
        raise MachineError(
            f"torch {torch.__version__} is installed; before {'.'.join(map(str, _OLDEST))} it could"
            " be made to run code by the files that it reads: pip install 'vidtx[torch]'."
        )
    return torch


def _without_tensors(torch: Any, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _stored(torch, value.detach())
    if isinstance(value, dict):
        return {key: _without_tensors(torch, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(torch, item) for item in value]
    return value


def _stored(torch: Any, tensor: Any) -> Stored:
    dense = tensor.layout == torch.strided and not tensor.is_quantized
    dtype = tensor.dtype if dense else f"{tensor.dtype}, {tensor.layout}"
    # NumPy has no bfloat16; all of its numbers are among float32's.
    return Stored(
        tuple(tensor.shape),
        str(dtype).removeprefix("torch."),
        lambda: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(),
    )
