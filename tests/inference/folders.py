"""Looking into what was written."""

import safetensors.numpy

from vidtx.weights import LAYOUTS


def params(arrays):
    """Arrays by Hugging Face's names, by ours."""
    layout = LAYOUTS["hf_timesformer"]
    found = layout.match(arrays).found
    return {
        name: layout.read(name, [arrays[key] for key in keys]) for (name, _), keys in found.items()
    }


def stored(folder):
    """What a Hugging Face folder holds: bits, types and shapes by name."""
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    return bits(arrays)


def bits(arrays):
    return {name: (leaf.dtype, leaf.shape, leaf.tobytes()) for name, leaf in arrays.items()}


def listing(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))
