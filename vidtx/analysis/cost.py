"""What a model costs: parameters and multiply-adds, by part, without running or allocating it."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidtx.kernels import Grouping, Step
from vidtx.models import TimeSformer, get_scheme


def parameter_shapes(model: TimeSformer) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's parameters by name, such as ``block_0/attention/qkv/kernel``.

    Args:
      model: any model of `vidtx.create_model`.
    """
    frames, height, width = model.num_frames, *model.image_size
    clips = jax.ShapeDtypeStruct((1, frames, height, width, 3), jnp.float32)
    params = nn.meta.unbox(jax.eval_shape(model.init, jax.random.key(0), clips)["params"])
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }


def count_parameters(model: TimeSformer) -> dict[str, int]:
    """Parameters by part. Shapes alone are traced: no memory, whatever the model's size.

    Args:
      model: any model of `vidtx.create_model`.

    Returns:
      ``embedding`` (patch layer, class token, position and time tables), ``attention`` (of the step
      that the image ViT has), ``added_steps`` (all other steps, with their norms and output
      layers), ``mlp``, ``norms`` (two a block, and the last one), ``head``, and ``total``.
    """
    parts = dict.fromkeys(("embedding", "attention", "added_steps", "mlp", "norms", "head"), 0)
    for name, shape in parameter_shapes(model).items():
        parts[_part(name.split("/"))] += math.prod(shape)
    return parts | {"total": sum(parts.values())}


def _part(path: list[str]) -> str:
    """The part that the parameter at ``path`` belongs to."""
    top = path[1] if path[0].startswith("block_") else path[0]
    if top in ("embedding", "attention", "mlp", "head"):
        return top
    return "norms" if top in ("norm", "norm1", "norm2") else "added_steps"


@dataclasses.dataclass(frozen=True)
class StepMacs:
    """Multiply-adds of one attention step, over all blocks.

    Attributes:
      name: the step.
      linears: of the query, key, value and output projections and, in an added step, of its
        further output layer.
      products: of query with key and of attention weight with value.
    """

    name: str
    linears: int
    products: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.linears + self.products


@dataclasses.dataclass(frozen=True)
class Macs:
    """Multiply-adds (MACs) of the forward pass of one view, by part.

    Attributes:
      embedding: of the patch layer.
      steps: of each attention step of the scheme, in order, over all blocks.
      mlp: of all MLPs.
      head: of the classifier.
    """

    embedding: int
    steps: tuple[StepMacs, ...]
    mlp: int
    head: int

    @property
    def attention_linears(self) -> int:
        """Of the linear layers of all attention steps."""
        return sum(step.linears for step in self.steps)

    @property
    def attention_products(self) -> int:
        """Of the two products inside attention, of all steps."""
        return sum(step.products for step in self.steps)

    @property
    def total(self) -> int:
        """All of them."""
        return self.embedding + sum(step.total for step in self.steps) + self.mlp + self.head


def count_macs(
    model: TimeSformer,
    *,
    num_frames: int | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Macs:
    """Analytic multiply-adds of one view's forward pass: **MACs, not FLOPs** (twice as many).

    It is the count by which the paper's tables go: "TFLOPs" there are multiply-adds times three
    views, 0.59 for divided attention on 8×224². With ``n`` tokens in a group,

      patches·3P²·D + D·C + depth·[Σ_steps Σ_groups (n·4D² + n²·2D)
        + patches·D² for each added step + 2·tokens·D·mlp_dim].

    As in the authors' code, the class token is one of the ``n`` in every group of the image ViT's
    step. (This implementation projects it once instead of once a group, so a compiler counts a
    little less.) Norms, softmax, biases and residuals are no multiply-adds and are left out.

    Source: Bertasius et al., ICML 2021, Tables 2 and 6; the formula agrees with what PyTorch's
    counter finds in the authors' released model for the space, joint and divided schemes. For
    sparse local-global and axial, which were not released, it is the cost of our reading of them.

    Args:
      model: any model of `vidtx.create_model`.
      num_frames: frames of the view; None for the model's own.
      image_size: pixels of the view's side, or ``(height, width)``; None for the model's own.

    Raises:
      ValueError: a view that the model cannot take.
    """
    scheme = get_scheme(model.scheme)
    frames, rows, columns = grid = _token_grid(model, num_frames, image_size)
    patches, dim = frames * rows * columns, model.embed_dim
    class_tokens = frames if scheme.class_token_per_frame else 1
    steps = (
        _step_macs(step, grid, model, is_added=step is not scheme.vit_step) for step in scheme.steps
    )
    return Macs(
        embedding=patches * 3 * model.patch_size**2 * dim,
        steps=tuple(steps),
        mlp=model.depth * 2 * (patches + class_tokens) * dim * model.mlp_dim,
        head=dim * model.num_classes,
    )


def _step_macs(
    step: Step, grid: tuple[int, int, int], model: TimeSformer, *, is_added: bool
) -> StepMacs:
    sizes = Grouping(step, grid).group_sizes
    if not is_added:
        sizes = tuple(size + 1 for size in sizes)
    dim = model.embed_dim
    linears = sum(sizes) * 4 * dim**2
    if is_added:
        linears += math.prod(grid) * dim**2
    products = sum(size**2 for size in sizes) * 2 * dim
    return StepMacs(step.name, model.depth * linears, model.depth * products)


def _token_grid(
    model: TimeSformer, num_frames: int | None, image_size: int | tuple[int, int] | None
) -> tuple[int, int, int]:
    frames = model.num_frames if num_frames is None else num_frames
    size = model.image_size if image_size is None else image_size
    height, width = (size, size) if isinstance(size, int) else size
    problems = []
    if frames < 1:
        problems.append(f"num_frames is {frames}; at least 1 is needed.")
    for name, pixels in (("height", height), ("width", width)):
        if pixels < model.patch_size or pixels % model.patch_size:
            problems.append(
                f"image {name} {pixels} is no multiple of the patch size {model.patch_size}. "
                "Count at the size to which frames are cropped."
            )
    if problems:
        raise ValueError("\n".join(problems))
    return frames, height // model.patch_size, width // model.patch_size
