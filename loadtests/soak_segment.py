"""One segment of a soak: a fresh generator on the target, one on the control, samples, and what ends it early."""

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from decision.quantities import duration_text
from loadtests.abort import broken_limit
from loadtests.control_load import ControlLoad
from loadtests.generator import Generator, Load, starting
from loadtests.samples import Sample, append_sample
from loadtests.soak_folder import SAMPLES, generator_name, windows_of
from loadtests.soak_journal import next_segment
from loadtests.soak_limits import broken_resource
from loadtests.soak_run import Run, Soak, segment_seed
from loadtests.soak_stop import asked_to_stop
from loadtests.soak_targets import SoakedTargets
from loadtests.soak_timeline import clock_moved, timeline_of
from loadtests.windows import Window
from processes.clocks import read_clocks
from processes.errors import CollectError, ProcessError, first_line
from processes.target import Target
from processes.wait import wait_for

_TICK_S = 0.5
_NO_WINDOW_FOR_S = 30.0
_STANDSTILL_S = 10.0
_LOOKS_BACK = 100
_MB = 1e6
_ERROR_WITHIN_LINES = 50
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception)\b")


@dataclass(frozen=True)
class SegmentEnd:
    """How a segment ended. ``cause`` is None when its time was over; ``error`` is more about it.

    ``broken`` names the limit that was broken, ``stopped`` says that a person asked for the end.
    """

    duration_s: float
    under_load_s: float
    cause: str | None
    error: str
    target_died: bool
    broken: str | None
    stopped: bool


def run_segment(run: Run, targets: SoakedTargets) -> SegmentEnd:
    """Run one segment on the targets that run; what it brought is added to ``run``. Raises OSError."""
    soak, number = run.soak, next_segment(run.entries)
    target, control = targets.running("target"), targets.get("control")
    duration_s = min(soak.segment_s, max(soak.target_s - run.loaded_s, soak.window_s))
    run.log("segment-began", segment=number)
    watch, cause, error = _Watch(run, targets, number), None, ""
    try:
        with ExitStack() as stack:
            load = _load(soak, target, duration_s, number)
            generator = stack.enter_context(starting(load, soak.folder, name=generator_name(number)))
            if control is not None:
                watch.start_control(stack, _load(soak, control, duration_s, number))
            if watch.begins(generator):
                run.log("segment-placed", segment=number)
                cause, error = _wait(generator, watch)
    except (CollectError, ProcessError) as began_not:
        cause, error = "the load generator did not begin", str(began_not)
    windows = windows_of(soak.folder, number)
    seconds = _loaded_s(windows, watch.alive.wall_s if watch.target_died else float("inf"))
    run.log("segment-ended", segment=number, cause=cause)
    run.loaded_s += seconds
    run.windows = [*run.windows, *windows][-_LOOKS_BACK:]
    if watch.target_died:
        run.log("target-ended", role="target", alive_s=timeline_of(run.entries).at(watch.alive))
        targets.put_away("target")
        run.windows, run.samples = [], []  # what its end looked like says nothing of its successor
    return SegmentEnd(duration_s, seconds, cause, error, watch.target_died, watch.broken, watch.stopped)


def _load(soak: Soak, target: Target, duration_s: float, segment: int) -> Load:
    return Load(
        target.url,
        soak.locustfile,
        soak.journey,
        soak.rate_per_s,
        duration_s,
        segment_seed(soak.seed, segment),
        soak.window_s,
        workers=soak.workers,
    )


def _loaded_s(windows: Sequence[Window], alive_until_s: float) -> float:
    """Seconds under load; later windows than the target's last sign of life are none."""
    return sum(w.duration_s for w in windows if w.under_load and w.finished_at_s <= alive_until_s)


def _wait(generator: Generator, watch: "_Watch") -> tuple[str | None, str]:
    """Wait for the end of the segment; why it came early by the generator's fault, and more about it."""
    try:
        generator.wait(every_s=_TICK_S, tell=watch.go_on)
    except CollectError as error:
        if generator.process.running():
            return first_line(error), ""
        return f"the load generator ended with {generator.process.wait(1.0)}", error_line(
            generator.process.last_lines(_ERROR_WITHIN_LINES)
        )
    except ProcessError as error:
        return "the load generator did not end with its time", str(error)
    return None, ""


def error_line(output: str) -> str:
    """The line of a generator's output that names its last exception; without one, the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _EXCEPTION.match(line)), lines[-1] if lines else "")


class _Watch:
    """Looks after a segment while its generator runs, and says when it must end."""

    def __init__(self, run: Run, targets: SoakedTargets, number: int) -> None:
        self.run, self.targets, self.number = run, targets, number
        self.target_died = self.stopped = False
        self.alive = read_clocks()
        self.broken: str | None = None
        self._control: ControlLoad | None = None
        self._generator: Generator | None = None
        self._looked_s = time.monotonic()
        self._sample_due_s = 0.0
        self._seen, self._seen_at_s = 0, time.monotonic()

    def start_control(self, stack: ExitStack, load: Load) -> None:
        """Load the control as the target."""
        self._control = ControlLoad(self.run, self.number, stack, load)

    def begins(self, generator: Generator) -> bool:
        """Wait until the target is under load; False when the segment ended before.

        Raises CollectError when the generator does not begin, OSError on a full disk.
        """
        self._generator = generator
        wait_for(
            lambda: not self._look() or generator.begun(),
            what=f"{generator.process.name}: its first window",
            timeout_s=generator.begins_within_s,
            interval_s=_TICK_S,
        )
        return self._goes_on

    def go_on(self, windows: list[Window]) -> bool:
        """Whether the segment goes on. Raises CollectError when the generator brings less, OSError on a full disk."""
        run = self.run
        if not self._look():
            return False
        if len(windows) > self._seen:
            if windows[-1].workers < run.soak.workers:  # a new segment has all of them again
                raise CollectError("the load generator lost a worker")
            self._seen, self._seen_at_s = len(windows), time.monotonic()
            self.broken = self.broken or broken_limit([*run.windows, *windows][-_LOOKS_BACK:], run.soak.slo)
        elif time.monotonic() - self._seen_at_s > max(_NO_WINDOW_FOR_S, 3 * run.soak.window_s):
            raise CollectError("the load generator wrote no window any more")
        self._tell(windows)
        return self._goes_on

    @property
    def _goes_on(self) -> bool:
        return not self.target_died and self.broken is None and not self.stopped

    def _look(self) -> bool:
        """Look after everything but the load: clocks, deaths, the control, samples and a request to stop."""
        run, now = self.run, read_clocks()
        if clock_moved(run.entries[-1].clocks, now):
            run.log("clocks")
        self._notice_standstill()
        self.target_died = self.targets.has_ended("target")
        if self.target_died:
            return False
        self.alive = now
        self._look_after_control()
        self._sample()
        limit_bytes = run.soak.soaking.memory_limit_bytes
        self.broken = self.broken or broken_resource(run.samples, run.soak.slo, limit_bytes)
        self.stopped = asked_to_stop(run.soak.folder) is not None
        return self._goes_on

    def _notice_standstill(self) -> None:
        """Write down that this process stood still (SIGSTOP, a disk that hung) until after the end of its load."""
        seconds = time.monotonic() - self._looked_s
        if seconds > _STANDSTILL_S and self._generator is not None and not self._generator.process.running():
            self.run.log("runner-stood-still", seconds=round(seconds, 3))
        self._looked_s = time.monotonic()

    def _sample(self) -> None:
        run = self.run
        nothing_yet = not run.loaded_s and not self._seen  # the soak begins with its first load
        if nothing_yet or time.monotonic() < self._sample_due_s:
            return
        self._sample_due_s = time.monotonic() + run.soak.sample_s
        target, control = self.targets.get("target"), self.targets.get("control")
        readings = [None if one is None else run.soak.read(one) for one in (target, control)]
        sample = Sample(timeline_of(run.entries).at(read_clocks()), *readings)
        append_sample(run.soak.folder / SAMPLES, sample)
        run.samples = [*run.samples, sample][-_LOOKS_BACK:]

    def _look_after_control(self) -> None:
        if self.targets.has_ended("control"):
            self.run.log("target-ended", role="control", alive_s=None)
            self.run.soak.tell(None, "the control ended; it is started again with the next segment")
            self.targets.put_away("control")
            if self._control is not None:
                self._control.leave()
        elif self._control is not None:
            self._control.look()

    def _tell(self, windows: Sequence[Window]) -> None:
        run, samples = self.run, self.run.samples
        seconds = run.loaded_s + _loaded_s(windows, self.alive.wall_s)
        rss = f", {samples[-1].target.rss_bytes / _MB:.0f} MB" if samples and samples[-1].target else ""
        words = f"{duration_text(seconds)} of {duration_text(run.soak.target_s)} under load{rss}"
        run.soak.tell(min(seconds / run.soak.target_s, 0.999), words)
