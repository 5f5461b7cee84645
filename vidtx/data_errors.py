"""What is wrong with data, as errors with an exit code; no JAX, so that every door can use it."""

import contextlib
from collections.abc import Iterator

from data_pipelines import errors as data_errors
from data_pipelines.annotations.problems import AnnotationError
from data_pipelines.extras import MissingExtraError
from data_pipelines.pool import ProcessKilledError
from vidtx.errors import ConfigError, DataQualityError, MachineError

_WRONG_USE = (
    AnnotationError,
    MissingExtraError,
    data_errors.BuildConflictError,
    data_errors.DatasetMissingError,
    data_errors.UnknownSplitError,
)


@contextlib.contextmanager
def data_errors_as_ours() -> Iterator[None]:
    """Turns what is wrong with data into errors with an exit code.

    Raises:
      ConfigError: what the command names is not there, or is not what it takes.
      DataQualityError: it is there, and damaged or too bad to be used.
      MachineError: the work cannot go on, for a reason that lies in no video.
    """
    try:
        yield
    except _WRONG_USE as error:
        raise ConfigError(str(error)) from error
    except (data_errors.BuildFailedError, ProcessKilledError) as error:
        raise MachineError(str(error)) from error
    except data_errors.DataError as error:
        raise DataQualityError(str(error)) from error
