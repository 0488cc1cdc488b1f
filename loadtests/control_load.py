"""The load on a soak's control: what goes wrong with it is no end of the segment, which is the target's."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from loadtests.generator import Generator, Load, life_watch, starting
from loadtests.soak_folder import generator_name
from loadtests.soak_run import Run
from processes.errors import CollectError, ProcessError, first_line


@dataclass
class _Running:
    generator: Generator
    stack: ExitStack
    alive: Callable[[], bool]
    started_s: float
    placed: bool = False


class ControlLoad:
    """The load of one segment on the control, stopped with ``stack``. One that cannot be had is left out."""

    def __init__(self, run: Run, segment: int, stack: ExitStack, load: Load) -> None:
        self._run, self._segment = run, segment
        self._running: _Running | None = None
        beside = stack.enter_context(ExitStack())
        name = generator_name(segment, control=True)
        try:
            generator = beside.enter_context(starting(load, run.soak.folder, name=name))
        except ProcessError as error:
            self._ended("the control's load generator did not begin", first_line(error))
            return
        self._running = _Running(generator, beside, life_watch(generator.heartbeat_file), time.monotonic())

    def look(self) -> None:
        """Write down that it has begun, or has ended; end what shows no life any more."""
        running = self._running
        if running is None:
            return
        process = running.generator.process
        try:
            if not running.placed and running.generator.begun():
                running.placed = True
                self._run.log("control-placed", segment=self._segment)
        except CollectError as error:
            self.leave()
            self._ended("the control's load generator did not begin", first_line(error))
            return
        if not process.running():
            code = process.wait(1.0)
            self._running = None
            if code != 0:  # 0: its time was over a moment before the target's
                self._ended(f"the control's load generator ended with {code}", "")
        elif not self._shows_life(running):
            os.kill(process.pid, signal.SIGKILL)  # what was stopped cannot be asked to end
            self.leave()
            if running.placed:
                self._ended("the control's load generator shows no life: it hangs, or was stopped", "")
            else:
                within_s = running.generator.begins_within_s
                self._ended("the control's load generator did not begin", f"not within {within_s:g} s")

    def leave(self) -> None:
        """Stop it."""
        if self._running is not None:
            self._running.stack.close()
            self._running = None

    def _shows_life(self, running: _Running) -> bool:
        if running.placed:
            return running.alive()
        return time.monotonic() - running.started_s < running.generator.begins_within_s

    def _ended(self, cause: str, more: str) -> None:
        self._run.log("control-ended", segment=self._segment, cause=cause)
        self._run.soak.tell(None, f"{cause}; it goes on with the next segment{': ' if more else ''}{more}")
