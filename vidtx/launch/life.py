"""Carrying out a run on TPU machines: until it ends, also where they are taken away in between."""

import contextlib
import dataclasses
import subprocess
import sys
import time

from vidtx.errors import MachineError, StoppedError
from vidtx.launch.commands import ABSENT, Command, ask, check_programs, lines, run, shell, state_of
from vidtx.launch.machines import region_of
from vidtx.launch.tpu import TpuRun

__all__ = ["carry_out"]

_UNANSWERED = 5  # questions in a row, until a machine is taken to be out of reach
_ATTEMPTS = 4  # at each command that sets up: hosts often refuse ssh for minutes when they are new
_LONGEST = 20  # times the time between questions, that anything is waited with before it is retried
# The run was stopped, and goes on when it is started again; or it may have been: where one host is
# gone, the processes on the others end with code 7, or are killed.
_RESUMABLE = StoppedError.exit_code
_KILLED = 128


class _OutOfReachError(MachineError):
    """Nothing is heard of a machine on which the run may be under way."""


def carry_out(plan: TpuRun, *, restarts: int, seconds: int, detach: bool, delete: bool) -> int:
    """Gets the machine, starts the run and follows it to its end.

    What is there already is used: a machine of that name, a run that is under way on it.

    Args:
      plan: the run.
      restarts: how often it is begun again after the machine was taken away or the run stopped.
      seconds: from one question about states to the next.
      detach: leave when the run is started.
      delete: the machine, once the run has ended in any way, or cannot be started on it.

    Returns:
      The exit code of the run; 0 with ``detach``.

    Raises:
      MachineError: a command fails, a program is missing, the queue ends without a machine, or
        nothing is heard of the machine.
      StoppedError: the machine was taken away more often than allowed.
    """
    check_programs([*plan.before(), plan.machine.create()])
    for one in plan.before():
        _check_region(plan, one) if one.words[1:3] == ("storage", "buckets") else run(one)
    deleting = plan.machine.delete()
    life = _Life(plan, seconds)
    try:
        code = life.with_restarts(restarts, detach)
    except MachineError as error:
        may_run = isinstance(error, _OutOfReachError) or not life.created
        raise MachineError(f"{error}{_left(plan, delete and not may_run)}") from error
    if detach and code is not None:
        return 0
    if delete and not detach and code is not None:
        life.let_end()
    if state_of(plan.machine.describe()) == ABSENT:
        pass  # there is nothing that could cost anything
    elif delete and not detach:
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


def _left(plan: TpuRun, delete: bool) -> str:
    """Deletes a machine that will not run anything; what is to be said of what there is."""
    if state_of(plan.machine.describe()) == ABSENT:
        return ""
    deleting = plan.machine.delete()
    if delete:
        try:
            run(deleting)
        except MachineError as error:
            return f"\n{error}\nIt costs money until\n{shell(deleting)}"
        return f"\n{plan.machine.name} is deleted (--delete)."
    return f"\nWhat has been created is kept, and costs money until\n{shell(deleting)}"


@dataclasses.dataclass
class _Life:
    """What happens to a machine and its run, from one question about states to the next.

    Attributes:
      plan: the run.
      seconds: between questions.
      created: whether the machine that is there was made here, so that no run is on it unseen.
      was_ready: whether there has been one, so that neither quota nor rights are what is wrong.
      refused: how often in a row it could not be made anew.
    """

    plan: TpuRun
    seconds: int
    created: bool = False
    was_ready: bool = False
    refused: int = 0

    def with_restarts(self, restarts: int, detach: bool) -> int | None:
        """The run's final exit code, or None where it could still go on."""
        machine, kept = self.plan.machine, False
        for left in range(restarts, -1, -1):
            if self._bring_up() and self._begin(again=kept):
                if detach:
                    _say("The run is started. The same command without --detach follows it.")
                    return 0
                code = self._follow()
                if code is not None and not self._could_go_on(code):
                    _say(f"The run has ended with exit code {code}.")
                    return code
            state = state_of(machine.describe())
            kept = not self._is_gone(state)
            shown = {ABSENT: "gone", None: "not heard of"}.get(state, state)
            _say(f"{machine.name} is {shown}, and the run is not done.")
            if left:
                more = f"{left - 1} more times if need be."
                _say(f"It is begun again, from its newest checkpoint; {more}")
                if self.refused:
                    self._wait(self.refused)
        return None

    def let_end(self) -> None:
        """Waits until every host has ended its process and copied its log."""
        for one in self.plan.end():
            # A machine that is to be deleted is not kept for that.
            with contextlib.suppress(MachineError):
                run(one)

    def _bring_up(self) -> bool:
        """Gets the machine; whether it is ready, and not taken away while it was waited for."""
        machine = self.plan.machine
        while (state := self._state()) != ABSENT and state in machine.gone:
            if not state.endswith("ING"):  # and so is on its way to another state
                if state in machine.failed:
                    _say(f"{machine.name} is {state}, from before:\n{self._details()}")
                run(machine.delete())
            else:
                time.sleep(self.seconds)
        if state == ABSENT and not self._create():
            return False
        shown, unanswered = None, 0
        while (state := state_of(machine.describe())) != machine.ready:
            if state in machine.failed and (machine.bounded or not self.was_ready):
                raise MachineError(
                    f"{machine.name} is {state}: the queue has ended without a machine, for want "
                    f"of quota mostly, or as --valid_for has run out. It says:\n{self._details()}"
                )
            if state in machine.gone:
                return False
            unanswered = unanswered + 1 if state in (None, ABSENT) else 0
            if unanswered >= _UNANSWERED:
                raise self._out_of_reach("gcloud does not tell what state it is in")
            if state != shown:
                heard = "not known yet" if state in (None, ABSENT) else state
                _say(f"{machine.name} is {heard}; waiting until {machine.ready}.")
                shown = state
            time.sleep(self.seconds)
        self.was_ready = True
        return True

    def _create(self) -> bool:
        """Asks for the machine, which is not there; whether that is granted."""
        # That it is not there is known, and no second answer is to be taken for it.
        creating = dataclasses.replace(self.plan.machine.create(), unless=None)
        self.created = True
        try:
            run(creating)
        except MachineError as error:
            if not self.was_ready:
                raise
            # What has just been taken away is mostly not to be had at once.
            _say(str(error))
            self.refused += 1
            return False
        self.refused = 0
        return True

    def _begin(self, *, again: bool) -> bool:
        """Installs and starts; whether the machine was there to the end of it."""
        # Some hosts end later than others, and must not take the old run for the new one.
        ending = self.plan.end() if again else []
        for one in (*ending, *self.plan.set_up(), *self.plan.start()):
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    run(one)
                    break
                except MachineError as error:
                    if self._is_gone(state_of(self.plan.machine.describe())):
                        return False
                    if attempt == _ATTEMPTS:
                        raise MachineError(f"{error} It was tried {attempt} times.") from error
                    _say(f"{error}\nA new host may refuse ssh for a while: it is tried again.")
                self._wait(attempt)
        return True

    def _follow(self) -> int | None:
        """The exit code of the run, once it has ended, or None where the machine is gone before."""
        unanswered = 0
        while True:
            following = self.plan.follow()
            _show(following)
            subprocess.run(following.words)  # it may as well end with the connection
            answer = (ask(self.plan.status()) or "").splitlines()
            told = [line.split() for line in answer if line.startswith("vidtx: ")]
            if told and told[-1][1] == "ended":
                return int(told[-1][2])
            if told and told[-1][1] == "absent":
                return None
            state = state_of(self.plan.machine.describe())
            if self._is_gone(state):
                return None
            # A machine that is being repaired does not answer ssh, and is waited for.
            heard = told or state not in (None, self.plan.machine.ready)
            unanswered = 0 if heard else unanswered + 1
            if unanswered >= _UNANSWERED:
                raise self._out_of_reach("it cannot be reached by ssh")
            time.sleep(self.seconds)

    def _could_go_on(self, code: int) -> bool:
        """Whether what ended a run was not the run itself."""
        if code == _RESUMABLE or code >= _KILLED:
            return True
        if code != MachineError.exit_code:
            return False
        time.sleep(2 * self.seconds)  # a machine's state lags behind
        return self._state() != self.plan.machine.ready

    def _state(self) -> str:
        """The machine's state, or `ABSENT`; no answer is none of them, and is asked for again."""
        for _ in range(_UNANSWERED):
            state = state_of(self.plan.machine.describe())
            if state is not None:
                return state
            time.sleep(self.seconds)
        raise self._out_of_reach("gcloud does not tell what state it is in")

    def _is_gone(self, state: str | None) -> bool:
        return state == ABSENT or state in self.plan.machine.gone

    def _details(self) -> str:
        asking = self.plan.machine.details()
        _show(asking)
        return ask(asking) or "nothing"

    def _wait(self, attempt: int) -> None:
        """Waits twice as long each time, up to a bound."""
        time.sleep(self.seconds * min(_LONGEST, 2 ** (attempt - 1)))

    def _out_of_reach(self, what: str) -> MachineError:
        machine = self.plan.machine
        return _OutOfReachError(
            f"{machine.name}: {what}, {_UNANSWERED} times in a row. See what these say:\n"
            f"{shell(machine.describe())}\n{shell(self.plan.status())}\n"
            "The same command goes on from here; a run that is under way goes on meanwhile."
        )


def _show(one: Command) -> None:
    print(f"\n{lines(one)}", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(f"\nvidtx: {text}", file=sys.stderr, flush=True)
