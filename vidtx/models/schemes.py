"""The attention schemes of the paper (section 3, Figure 1): each a short list of steps.

One step of a scheme, the last in the paper's five, has the weights of the image ViT and the class
token; each other one has its own LayerNorm, query, key and value and a zero-initialised output
layer, and treats patches alone. For divided attention that is the published block; for sparse
local-global and axial, which were never published, the same rule gives the paper's parameter
counts. Two more are those that section 4.7 compares divided attention with: its two steps in the
other order, and both on the same input. A new scheme is a new row.

In these two, the last block's time step changes patches that the class token does not look at any
more, so that its weights stay as they start. The paper says nothing of it.
"""

import dataclasses

from vidtx.kernels import STEPS, Step


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A sequence of attention steps.

    Attributes:
      name: the name used in configs.
      added_steps: the steps that the image ViT does not have, in order.
      vit_step: the step with the image ViT's weights and the class token.
      order: ``added_first``; ``vit_first``; or ``parallel``, where both start from the block's
        input and their residuals are added.
      class_token_per_frame: whether every frame keeps a class token of its own to the end, where
        they are averaged (space-only), instead of one for the clip.
    """

    name: str
    added_steps: tuple[Step, ...]
    vit_step: Step
    order: str = "added_first"
    class_token_per_frame: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps of one block, in order; of parallel ones, the image ViT's last."""
        if self.order == "vit_first":
            return (self.vit_step, *self.added_steps)
        return (*self.added_steps, self.vit_step)

    @property
    def sees_time(self) -> bool:
        """Whether any token looks beyond its own frame, so that a time embedding has a use."""
        return not self.class_token_per_frame


def _scheme(name: str, *steps: str, **options) -> Scheme:
    *added, vit = (STEPS[step] for step in steps)
    return Scheme(name, tuple(added), vit, **options)


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        _scheme("space", "space", class_token_per_frame=True),
        _scheme("joint", "joint"),
        _scheme("divided", "time", "space"),
        _scheme("sparse_local_global", "local", "global"),
        _scheme("axial", "time", "width", "height"),
        _scheme("divided_space_first", "time", "space", order="vit_first"),
        _scheme("divided_parallel", "time", "space", order="parallel"),
    )
}


def get_scheme(name: str) -> Scheme:
    """The scheme called ``name``.

    Raises:
      ValueError: there is none of that name.
    """
    if name not in SCHEMES:
        raise ValueError(
            f"Unknown attention scheme {name!r}: the schemes are {', '.join(SCHEMES)}."
        )
    return SCHEMES[name]
