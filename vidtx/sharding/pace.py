"""How far the host runs ahead of the devices."""

import collections

import jax
import jax.numpy as jnp

# Steps that are queued behind the one that runs, each with its batch on the devices. One hides the
# transfer of a batch, the second a batch that is late once.
_AHEAD = 2

_copy = jax.jit(jnp.copy)


def done_mark(made: jax.Array) -> jax.Array:
    """An array of its own that is ready once ``made`` is.

    What a step makes cannot be waited for later, where the next step takes its memory.

    Args:
      made: something small among what a step makes.
    """
    return _copy(made)


class Pace:
    """Lets the host run ahead of the devices, but not by more than a few steps.

    JAX returns from a step before the devices have begun it. So the next batch is put on the
    devices while they compute, and the next step is queued before they are idle. Without a bound
    the host would go on like this to the next line of metrics, and all those batches would take
    device memory.
    """

    def __init__(self, ahead: int = _AHEAD):
        """Begins with no step under way.

        Args:
          ahead: how many steps may wait behind the one that runs.
        """
        self._ahead = ahead
        self._under_way: collections.deque[jax.Array] = collections.deque()

    def wait(self) -> None:
        """Returns once at most ``ahead`` steps are not done, so that one more may be begun."""
        while len(self._under_way) > self._ahead:
            jax.block_until_ready(self._under_way.popleft())

    def begun(self, mark: jax.Array) -> None:
        """Notes a step that was begun.

        Args:
          mark: ready once the step is done.
        """
        self._under_way.append(mark)
