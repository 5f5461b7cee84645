"""The five attention schemes of the paper (section 3, Figure 1): each a short list of steps.

The last step of a scheme carries the weights of the image ViT and the class token; each earlier one
has its own LayerNorm, query, key and value and a zero-initialised output layer, and treats patches
alone. For divided attention that is the published block; for sparse local-global and axial, which
were never published, the same rule gives the paper's parameter counts. A new scheme is a new row.
"""

import dataclasses

from vidtx.kernels import STEPS, Step


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A sequence of attention steps.

    Attributes:
      name: the name used in configs.
      steps: the steps of one block, in order.
      class_token_per_frame: whether every frame keeps a class token of its own to the end, where
        they are averaged (space-only), instead of one for the clip.
    """

    name: str
    steps: tuple[Step, ...]
    class_token_per_frame: bool = False

    @property
    def added_steps(self) -> tuple[Step, ...]:
        """The steps that the image ViT does not have."""
        return self.steps[:-1]

    @property
    def vit_step(self) -> Step:
        """The step with the image ViT's weights and the class token."""
        return self.steps[-1]

    @property
    def sees_time(self) -> bool:
        """Whether any token looks beyond its own frame, so that a time embedding has a use."""
        return not self.class_token_per_frame


def _scheme(name: str, *steps: str, **options) -> Scheme:
    return Scheme(name, tuple(STEPS[step] for step in steps), **options)


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        _scheme("space", "space", class_token_per_frame=True),
        _scheme("joint", "joint"),
        _scheme("divided", "time", "space"),
        _scheme("sparse_local_global", "local", "global"),
        _scheme("axial", "time", "width", "height"),
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
