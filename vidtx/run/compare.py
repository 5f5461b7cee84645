"""Runs side by side: each trained as a run of its own, all judged in one table."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from vidtx.config import RunSpec
from vidtx.errors import ConfigError, DivergedError, VidtxError
from vidtx.reporting.files import Path, check_reachable, exists
from vidtx.run.child import Trainer, only_one_in
from vidtx.run.compared import ComparedRun, is_finished, note_finished, write_comparison
from vidtx.run.setup import problems


class RunFailedError(VidtxError):
    """A run of a comparison ended with an error, whose exit code this one has."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def problems_without_devices(spec: RunSpec) -> Iterator[str]:
    """What is impossible about a specification, as `problems`, but for what its devices decide.

    Those are for the run's process to look at: an accelerator is lent to one at a time.
    """
    return problems(spec, mesh_of=None)


def run_comparison(
    runs: Sequence[ComparedRun],
    workdir: Path,
    *,
    title: str,
    show: Callable[[str], None] = lambda text: print(text, flush=True),
) -> None:
    """Trains runs one after the other and writes ``table.md``, ``table.json``, ``curves.png``.

    A run that was finished in an earlier start is not started again, one that was interrupted goes
    on. A run that diverges leaves its place in the table empty, and the others go on.

    Args:
      runs: every row with the same seeds.
      workdir: holds ``ARGUMENT/seed_N/``, the directory of each run; may be in a bucket.
      title: heads the table.
      show: prints a text.

    Raises:
      ConfigError: the directory is in use or holds something else.
      StoppedError: a signal came; the state of the run is saved.
      MachineError: a run was killed by the system.
      RunFailedError: a run ended with an error, told already.
    """
    _check_free(workdir)
    with Trainer() as trainer, only_one_in(workdir) as lock:
        diverged = []
        table = write_comparison(runs, workdir, title)
        for number, run in enumerate(runs, 1):
            folder = run.folder(workdir)
            name = f"{run.argument}, seed {run.spec.seed} ({number} of {len(runs)}): {folder}"
            if is_finished(run, workdir):
                show(f"── {name}: finished already")
                continue
            show(f"── {name}")
            code = trainer.train([*run.command, f"--workdir={folder}"], keep_open=[lock])
            if code == DivergedError.exit_code:
                diverged.append(name)
            elif code:
                raise RunFailedError(_failed(name, code), code)
            else:
                note_finished(run, workdir)
            table = write_comparison(runs, workdir, title)
            if number < len(runs):
                show(f"\n{table}\n")
        show(f"\n{table}\n\nTable: {workdir / 'table.md'}   Curves: {workdir / 'curves.png'}")
    if diverged:
        code = DivergedError.exit_code
        raise RunFailedError("\n".join(_failed(name, code) for name in diverged), code)


def _check_free(workdir: Path) -> None:
    check_reachable(workdir)
    if exists(workdir) and not workdir.is_dir():
        raise ConfigError(f"--workdir={workdir} is a file; name a directory.")
    names = _names(workdir.iterdir()) if exists(workdir) else set()
    if names and "table.json" not in names:
        raise ConfigError(
            f"--workdir={workdir} holds files but no comparison (table.json is missing). Give a "
            "new or an empty directory."
        )


def _names(paths: Iterable[Path]) -> set[str]:
    return {path.name for path in paths if not path.name.startswith(".")}


def _failed(name: str, code: int) -> str:
    return f"{name} ended with exit code {code}; what it said is above."
