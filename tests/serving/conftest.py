"""A small model with class names of every kind, videos, and a server that has it."""

import numpy as np
import pytest

from data_pipelines.encode import encode_mp4
from tests.data_pipelines.conftest import make_frames, write_video  # noqa: F401  fixtures
from tests.inference import folders
from tests.parity import foreign
from vidtx.checkpoints import CheckpointStore
from vidtx.inference.load import nested

from .served import serving

NAMES = [
    "falling",
    "<img src=x onerror=alert(1)>",
    "走る",
    "يركض",
    "turning " * 12 + "round",
    "&lt;b",
]


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A run directory: a model of two blocks that was never trained."""
    size = foreign.Size(grid=(4, 4, 4), classes=len(NAMES))
    arrays = foreign.weights(foreign.shapes_of("divided_space_time", size))
    contract = {
        "data.mean": [0.45] * 3, "data.std": [0.225] * 3, "data.channel_order": "rgb",
        "data.stride": 2, "data.sampling": "stride", "data.target_fps": None,
        "data.frames": 4, "data.image_size": [32, 32], "data.short_videos": "repeat_last",
        "data.eval_short_side": 32, "data.multi_label": False, "class_names": NAMES,
        "dataset": "made", "fingerprint": "f" * 64, "model.name": f"timesformer_b{size.patch}",
        "model.scheme": "divided", "model.position_embedding": "space_time",
        "model.embed_dim": size.dim, "model.depth": size.depth, "model.num_heads": size.heads,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("weights")
    with CheckpointStore(folder / "run", contract=contract) as store:
        store.save(3, {"step": np.int32(3), "params": nested(folders.params(arrays))})
    return folder / "run"


@pytest.fixture(scope="session")
def video(make_frames):  # noqa: F811
    """Six seconds of moving pictures, as the bytes of an MP4."""
    return encode_mp4(make_frames(60, 64, 96, seed=3), fps=10)


@pytest.fixture(scope="session")
def server(tmp_path_factory, weights):
    """A server with narrow limits; not to be stopped."""
    options = ("--max_mb=2", "--max_seconds=20", "--timeout=60", "--queue=1")
    with serving(weights, tmp_path_factory.mktemp("server"), *options) as running:
        yield running
