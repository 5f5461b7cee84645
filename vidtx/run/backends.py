"""What computes each attention step of a model on a kind of device."""

from collections.abc import Iterator

from vidtx.kernels import Grouping, choose_backend
from vidtx.models import TimeSformer, get_scheme

__all__ = ["refused_backends", "step_backends", "tokens_of"]


def tokens_of(model: TimeSformer, name: str) -> int:
    """Tokens of a step's largest group; of the scheme's last step with the class token."""
    scheme = get_scheme(model.scheme)
    step = next(step for step in scheme.steps if step.name == name)
    grouping = Grouping(step, model.token_grid)
    tokens = max(grouping.group_sizes) if grouping.valid is None else grouping.valid.shape[1]
    return tokens + (step is scheme.vit_step)


def step_backends(model: TimeSformer, platform: str) -> dict[str, str | ValueError]:
    """What would compute each step of a model, by its name; an error where it is refused."""
    found: dict[str, str | ValueError] = {}
    for step in get_scheme(model.scheme).steps:
        try:
            found[step.name] = choose_backend(
                model.attention,
                platform=platform,
                tokens=tokens_of(model, step.name),
                head_dim=model.embed_dim // model.num_heads,
                dtype=model.dtype,
            )
        except ValueError as error:
            found[step.name] = error
    return found


def refused_backends(model: TimeSformer, platform: str) -> Iterator[str]:
    """Why ``model.attention`` cannot be had on these devices, a sentence for each reason."""
    backends = step_backends(model, platform).values()
    refused = dict.fromkeys(str(why) for why in backends if isinstance(why, ValueError))
    yield from (f"model.{why}" for why in refused)
