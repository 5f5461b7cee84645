"""Weights fitted to a model of another scheme, other sizes or other classes."""

import dataclasses
from typing import Any

import jax
import numpy as np

from vidtx.models import TimeSformer
from vidtx.weights.match import TIME, match, patch_grid
from vidtx.weights.report import Report
from vidtx.weights.resize import resize_position, resize_time
from vidtx.weights.source import Array, Source

__all__ = ["Fitted", "fit"]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What of a source goes into a model.

    Attributes:
      taken: arrays by their names in the model, such as ``block_0.mlp.fc1.kernel``. One may be
        there under several names. Those that were resized are NumPy arrays; the others are the very
        ones of the source, wherever they lie.
      report: every array of the model and of the file accounted for; what is ``new`` starts as the
        model starts it.
    """

    taken: dict[str, Array]
    report: Report

    def over(self, params: Any) -> Any:
        """A nested dict of a model's parameters, with what was taken in the place of its own."""

        def replaced(path, leaf):
            return self.taken.get(".".join(key.key for key in path), leaf)

        return jax.tree.map_with_path(replaced, params)


def fit(
    source: Source, model: TimeSformer, *, resize: str = "nearest", keep_head: bool = True
) -> Fitted:
    """Fits weights to a model of any scheme, sizes of clips and classes.

    Steps that the source lacks start from the norm and the attention of their block, and their
    output layer at zero, so that at first they do nothing; steps that the model lacks are dropped.
    Position embeddings are resized, time embeddings to the nearest frame.

    Args:
      source: the weights, NumPy arrays or JAX's; a position embedding that is resized must lie
        whole in this process.
      model: what they are for.
      resize: how position embeddings of another grid are resized; see `vidtx.weights.resize`.
      keep_head: take the head where it has the model's number of classes.

    Raises:
      CheckpointError: width, depth, heads, patch size or other shapes differ; lists all that do.
      ValueError: there is no such way to resize.
    """
    own = match(source, model, resize=resize, keep_head=keep_head)
    taken = {entry.ours: source.params[entry.theirs[0]] for entry in own.of("used", "copied")}
    for entry in own.of("resized"):
        table = np.asarray(source.params[entry.ours])
        if entry.ours == TIME:
            taken[TIME] = resize_time(table, model.num_frames)
        else:
            grids = patch_grid(source.architecture), patch_grid(model)
            taken[entry.ours] = resize_position(table, *grids, resize)
    return Fitted(taken, own.after(source.report))
