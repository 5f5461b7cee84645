"""The errors that end a run, each with the exit code that says what to do about it.

========  =================================================================================
code      meaning
========  =================================================================================
0         done
1         a bug, with its stack trace
2         wrong use or config
3         diverged: loss, gradient or update is not finite
4         stopped by a signal; the same command resumes
5         data below the allowed quality, or some inputs failed
6         no usable checkpoint
7         storage or environment: disk full, missing accelerator library, does not fit
========  =================================================================================

Their messages are for the person who typed the command: the value, the bound, the cause, the cure.

Of a job of several processes, all exit with the same code.
"""

import errno

_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_DENIED = (errno.EACCES, errno.EPERM)
_MACHINE = ("RESOURCE_EXHAUSTED", "Unable to initialize backend")


class VidtxError(Exception):
    """An error that a person can mend; the door prints its message without a stack trace.

    Attributes:
      exit_code: of the process.
      together: whether all processes of a job raise it at the same point, so that one may print it.
    """

    exit_code = 1
    together = False


class ConfigError(VidtxError):
    """Wrong use: a flag, a config, a workdir of another run, a data set that is absent."""

    exit_code = 2


class DivergedError(VidtxError):
    """The loss, the gradient or the update stopped being finite."""

    exit_code = 3


class StoppedError(VidtxError):
    """A signal asked the run to stop; its state is saved, and the same command resumes it."""

    exit_code = 4


class DataQualityError(VidtxError):
    """The data set is damaged, or holds more unreadable videos than the run allows."""

    exit_code = 5


class CheckpointError(VidtxError):
    """There is no checkpoint that can be used."""

    exit_code = 6


class MachineError(VidtxError):
    """Storage or machine: the disk is full, a library is missing, the run does not fit."""

    exit_code = 7


def explain(error: BaseException) -> VidtxError | None:
    """What an error means for the person who typed the command, or None if it is a bug."""
    if isinstance(error, VidtxError):
        return error
    if isinstance(error, KeyboardInterrupt):  # where nobody looks out for it, or a second one
        return StoppedError("Stopped at once. The same command goes on from the newest checkpoint.")
    if isinstance(error, OSError):
        if error.errno in _DENIED:
            return MachineError(f"{error}. Mend the permissions there, or choose another place.")
        if error.errno in _STORAGE:
            return MachineError(f"{error}. Free space, or choose another place.")
        return None
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _MACHINE):
        return MachineError(
            f"{error}\nThe run does not fit this machine, or its accelerator cannot be used: "
            "lower train.global_batch, raise mesh.fsdp, or mend the installation."
        )
    return None
