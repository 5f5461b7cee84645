"""Carrying out a run on TPU machines: until it ends, also where they are taken away in between."""

import subprocess
import sys
import time

from vidtx.errors import MachineError, StoppedError
from vidtx.launch.commands import Command, ask, check_programs, lines, run, shell
from vidtx.launch.machines import region_of
from vidtx.launch.tpu import TpuRun

__all__ = ["carry_out"]

_UNANSWERED = 5  # questions in a row, until a machine is taken to be out of reach
# The run was stopped, and goes on when it is started again; or it may have been: where one host is
# gone, the processes on the others end with code 7, or are killed.
_RESUMABLE = StoppedError.exit_code
_KILLED = 128


def carry_out(plan: TpuRun, *, restarts: int, seconds: int, detach: bool, delete: bool) -> int:
    """Gets the machine, starts the run and follows it to its end.

    What is there already is used: a machine of that name, a run that is under way on it.

    Args:
      plan: the run.
      restarts: how often it is begun again after the machine was taken away or the run stopped.
      seconds: from one question about states to the next.
      detach: leave when the run is started.
      delete: the machine, once the run has ended in any way.

    Returns:
      The exit code of the run; 0 with ``detach``.

    Raises:
      MachineError: a command fails, a program is missing, or nothing is heard of the machine.
      StoppedError: the machine was taken away more often than allowed.
    """
    check_programs([*plan.before(), plan.machine.create()])
    for one in plan.before():
        _check_region(plan, one) if one.words[1:3] == ("storage", "buckets") else run(one)
    deleting = plan.machine.delete()
    try:
        code = _with_restarts(plan, restarts, seconds, detach)
    except MachineError as error:
        kept = f"What has been created is kept, and costs money until\n{shell(deleting)}"
        raise MachineError(f"{error}\n{kept}") from error
    if detach and code is not None:
        return 0
    if delete and not detach:
        run(deleting)
    else:
        _say(f"{deleting.why} To do so:\n{shell(deleting)}")
    if code is None:
        raise StoppedError(
            f"The run was stopped, or {plan.machine.name} taken away, and it was begun again "
            f"{restarts} times (--restarts). The same command goes on from the newest checkpoint."
        )
    return code


def _check_region(plan: TpuRun, one: Command) -> None:
    """Refuses a bucket that is not there; says where one lies elsewhere."""
    bucket, region = one.words[4], region_of(plan.machine.zone)
    _show(one)
    location = ask(one)
    if location is None:
        raise MachineError(f"{bucket} cannot be found or read. {one.cure}")
    if location.lower() != region:
        _say(
            f"{bucket} lies in {location}, not in {region}: reading from there is slower, and "
            "may be charged for. A bucket in the region of the chips is better."
        )


def _with_restarts(plan: TpuRun, restarts: int, seconds: int, detach: bool) -> int | None:
    """The run's final exit code, or None where it could still go on."""
    kept = False
    for left in range(restarts, -1, -1):
        if _bring_up(plan, seconds) and _begin(plan, again=kept):
            if detach:
                _say("The run is started. The same command without --detach follows it.")
                return 0
            code = _follow(plan, seconds)
            if code is not None and not _could_go_on(plan, code, seconds):
                _say(f"The run has ended with exit code {code}.")
                return code
        state = ask(plan.machine.describe())
        kept = state == plan.machine.ready
        _say(f"{plan.machine.name} is {state or 'gone'}, and the run is not done.")
        if left:
            _say(
                f"It is begun again, from its newest checkpoint; {left - 1} more times if need be."
            )
    return None


def _bring_up(plan: TpuRun, seconds: int) -> bool:
    """Gets the machine; whether it is ready, and not taken away while it was waited for."""
    machine = plan.machine
    while (state := ask(machine.describe())) in machine.gone:
        if not state.endswith("ING"):  # and so is on its way to another state
            run(machine.delete())
            break
        time.sleep(seconds)
    run(machine.create())
    shown, unanswered = None, 0
    while (state := ask(machine.describe())) != machine.ready:
        if state in machine.gone:
            return False
        unanswered = unanswered + 1 if state is None else 0
        if unanswered >= _UNANSWERED:
            raise _out_of_reach(plan, "gcloud does not tell what state it is in")
        if state != shown:
            _say(f"{machine.name} is {state or 'not known yet'}; waiting until {machine.ready}.")
            shown = state
        time.sleep(seconds)
    return True


def _begin(plan: TpuRun, *, again: bool) -> bool:
    """Installs and starts; whether the machine was there to the end of it."""
    # Some hosts end later than others, and must not take the old run for the new one.
    ending = plan.end() if again else []
    try:
        for one in (*ending, *plan.set_up(), *plan.start()):
            run(one)
    except MachineError:
        if ask(plan.machine.describe()) == plan.machine.ready:
            raise
        return False
    return True


def _follow(plan: TpuRun, seconds: int) -> int | None:
    """The exit code of the run, once it has ended, or None where the machine is gone before."""
    unanswered = 0
    while True:
        following = plan.follow()
        _show(following)
        subprocess.run(following.words)  # it may as well end with the connection
        answer = (ask(plan.status()) or "").splitlines()
        told = [line.split() for line in answer if line.startswith("vidtx: ")]
        if told and told[-1][1] == "ended":
            return int(told[-1][2])
        if told and told[-1][1] == "absent":
            return None
        if ask(plan.machine.describe()) != plan.machine.ready:
            return None
        unanswered = 0 if told else unanswered + 1
        if unanswered >= _UNANSWERED:
            raise _out_of_reach(plan, "it cannot be reached by ssh")
        time.sleep(seconds)


def _could_go_on(plan: TpuRun, code: int, seconds: int) -> bool:
    """Whether what ended a run was not the run itself."""
    if code == _RESUMABLE or code >= _KILLED:
        return True
    if code != MachineError.exit_code:
        return False
    time.sleep(2 * seconds)  # a machine's state lags behind
    return ask(plan.machine.describe()) != plan.machine.ready


def _out_of_reach(plan: TpuRun, what: str) -> MachineError:
    machine = plan.machine
    return MachineError(
        f"{machine.name}: {what}, {_UNANSWERED} times in a row. See what these say:\n"
        f"{shell(machine.describe())}\n{shell(plan.status())}\n"
        "The same command goes on from here; a run that is under way goes on meanwhile."
    )


def _show(one: Command) -> None:
    print(f"\n{lines(one)}", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(f"\nvidtx: {text}", file=sys.stderr, flush=True)
