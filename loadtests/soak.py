"""A soak of one target in segments. Only time under load counts, and an interrupted soak goes on where it was.

The soak is its folder: what was written there before an interruption counts, and the time until it goes on is a gap.
Whoever runs it holds the folder's lock.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from loadtests.soak_folder import JOURNAL, STOP, read_journal, read_material
from loadtests.soak_gaps import STOPPED, TERMINATED, under_load_s
from loadtests.soak_journal import Ended, Entry, Role, append_entry, end_of
from loadtests.soak_limits import FRUITLESS_AT_MOST, crash_loop, wears_out
from loadtests.soak_night import read_night
from loadtests.soak_run import Run, Soak
from loadtests.soak_segment import SegmentEnd, error_line, run_segment
from loadtests.soak_stop import asked_to_stop, user
from loadtests.soak_targets import SoakedTargets
from loadtests.soak_timeline import timeline_of
from processes.clocks import read_clocks
from processes.errors import CollectError, GonogoError, ProcessError, Terminated, first_line
from processes.target import Target
from processes.wait import wait_for

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
TOO_LITTLE = "the offered rate was not held, or too few requests were served"
_ROOM_BYTES = 65536
"""With less than this left in the file system a generator that brought no load had no room for its windows."""
_RESERVE = "reserve"
_RESERVE_BYTES = 64 * 1024
"""Kept free so that the end of a soak on a full disk can still be written down."""

_PREDECESSORS_END_WITHIN_S = 60.0


class SoakStopped(CollectError):
    """A person asked the soak to stop; it goes on when somebody resumes it."""


def run_soak(soak: Soak) -> None:
    """Soak until the target hours were under load, or a limit is broken, or the target would not live.

    Returns at once when that was reached before. Raises SoakStopped when a person asked for it; CollectError when the
    generator brings no load, or ends early again and again, an input changed, or there is no space left; ProcessError
    when the target does not become ready at first. Whatever it raises, the soak can be resumed and loses nothing.
    """
    entries = read_journal(soak.folder)
    if end_of(entries):
        return
    _wait_for_predecessors(soak.folder, entries)
    so_far = read_night(read_material(soak.folder))
    run = Run(soak, entries, under_load_s(so_far.placed))
    ends_s = [p.window.finished_at_s for p in so_far.placed[-1:]] + [sample.at_s for sample in so_far.samples[-1:]]
    with _leaving_word(run):
        (soak.folder / _RESERVE).write_bytes(bytes(_RESERVE_BYTES))
        run.log("runner-began", pid=os.getpid(), by=user(), not_before_s=max(ends_s, default=None))
        if entries[:-1]:
            soak.tell(None, f"goes on at {run.progress()}")
        _soak(run)


def _soak(run: Run) -> None:
    soak = run.soak
    names: dict[Role, str] = {"target": soak.soaking.target}
    if soak.soaking.control is not None:
        names["control"] = soak.soaking.control

    def started(role: Role, target: Target) -> None:
        run.log("target-started", role=role, pid=target.pid, url=target.url)

    fruitless = deaths_without_load = 0
    with SoakedTargets(soak.start, names, started) as targets:
        while not _is_complete(run):
            _obey(soak.folder, run.progress())
            soak.check()
            if not _ready(run, targets):
                deaths_without_load += 1
                if _would_not_live(run, deaths_without_load):
                    return None
                continue
            _obey(soak.folder, run.progress())  # a start of the targets takes its time
            segment = run_segment(run, targets)
            if segment.cause or segment.target_died or run.loaded_s < soak.target_s:
                what = "the target ended" if segment.target_died else _early_end(segment) or "a segment is over"
                soak.tell(None, f"{what}: {run.progress()}")
            if segment.broken:
                return _end(run, "aborted", segment.broken)
            if segment.stopped:
                continue  # unless it is complete, it stops above
            if segment.target_died:
                deaths_without_load = 0 if segment.under_load_s else deaths_without_load + 1
                if _would_not_live(run, deaths_without_load):
                    return None
                continue
            deaths_without_load = 0
            if _is_fruitless(segment) and shutil.disk_usage(run.soak.folder).free < _ROOM_BYTES:
                # The generator met the end of the disk before the runner did.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fruitless = fruitless + 1 if _is_fruitless(segment) else 0
            if fruitless >= FRUITLESS_AT_MOST:
                raise CollectError(
                    f"{fruitless} segments in a row brought no load; the last: {segment.cause or TOO_LITTLE}"
                    f"{'; ' if segment.error else ''}{segment.error}"
                )
            if segment.cause and (why := _wears_out(run)):
                raise CollectError(f"{why}; the last: {_early_end(segment)}: {run.progress()}, which is kept")
    return _end(run, "complete", "the target hours were under load")


def _is_complete(run: Run) -> bool:
    """Whether the target hours were under load; that they were is computed from the folder, as the result will be."""
    if run.loaded_s >= run.soak.target_s:
        run.loaded_s = under_load_s(read_night(read_material(run.soak.folder)).placed)
    return run.loaded_s >= run.soak.target_s


def _ready(run: Run, targets: SoakedTargets) -> bool:
    """Have target and control run; False when the target, which ran before, does not become ready.

    A control that does not become ready is left out until the next segment.
    """
    lived_before = any(e.event == "target-started" and e.detail["role"] == "target" for e in _of_this_runner(run))
    try:
        targets.running("target")
    except ProcessError as error:
        if not lived_before:
            raise
        run.log("target-ended", role="target", alive_s=None)
        run.soak.tell(None, f"the target did not become ready: {first_line(error)}")
        return False
    if run.soak.soaking.control is not None:
        try:
            targets.running("control")
        except ProcessError as error:
            run.log("target-ended", role="control", alive_s=None)
            run.soak.tell(None, f"the control did not become ready: {first_line(error)}")
    return True


def _would_not_live(run: Run, without_load: int) -> bool:
    timeline = timeline_of(run.entries)
    deaths = [e for e in run.entries if e.event == "target-ended" and e.detail["role"] == "target"]
    why = crash_loop([timeline.at(e.clocks) for e in deaths], without_load)
    if why is None:
        return False
    if not read_material(run.soak.folder).windows:
        raise CollectError(f"{why}; there is nothing to be recorded")
    _end(run, "crash-loop", why)
    return True


def _wears_out(run: Run) -> str | None:
    timeline = timeline_of(run.entries)
    early = [e for e in _of_this_runner(run) if e.event == "segment-ended" and e.detail["cause"]]
    return wears_out([timeline.at(e.clocks) for e in early])


def _early_end(segment: SegmentEnd) -> str | None:
    """Why a segment ended early, with the last thing that its generator said."""
    said = error_line(segment.error)
    return f"{segment.cause} ({said})" if segment.cause and said else segment.cause


def _obey(folder: Path, progress: str) -> None:
    """Raise SoakStopped when a person has asked this runner to stop."""
    by = asked_to_stop(folder)
    if by is not None:
        (folder / STOP).unlink()
        raise SoakStopped(f"stopped by {by}: {progress}")


def _is_fruitless(segment: SegmentEnd) -> bool:
    """Nothing was under load, or the segment had its whole time and less than half of it was."""
    whole = segment.cause is None
    return not segment.under_load_s or (whole and segment.under_load_s < 0.5 * segment.duration_s)


def _end(run: Run, how: Ended, why: str) -> None:
    run.log("soak-ended", how=how, why=why)


def end_for_good(folder: Path, why: str) -> None:
    """End a soak that is not complete: what was measured is what there is. The lock must be held."""
    append_entry(folder / JOURNAL, read_clocks(), "soak-ended", how="stopped", why=why)


@contextmanager
def _leaving_word(run: Run) -> Iterator[None]:
    """Write down why the runner ends, whatever ends it; a full disk becomes one clear error."""
    try:
        try:
            yield
        finally:
            (run.soak.folder / _RESERVE).unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in _FULL:
            run.log("runner-ended", why=f"the runner broke: {error.strerror}")
            raise
        with suppress(OSError):  # not even the reserve could be had: the gap then counts as a killed runner's
            run.log("runner-ended", why="no space was left in the soak's folder")
        raise CollectError(
            f"no space is left in {run.soak.folder}: {run.progress()}, which is kept; resume when there is space"
        ) from error
    except Terminated:
        run.log("runner-ended", why=TERMINATED)
        raise
    except (SoakStopped, KeyboardInterrupt):
        run.log("runner-ended", why=STOPPED)
        raise
    except Exception as error:
        why = first_line(error) if isinstance(error, GonogoError) else type(error).__name__
        run.log("runner-ended", why=f"the runner ended: {why}")
        raise
    except BaseException:  # what an orchestrator raises when its run is cancelled
        run.log("runner-ended", why=STOPPED)
        raise
    run.log("runner-ended", why="the soak was over")


def _wait_for_predecessors(folder: Path, entries: list[Entry]) -> None:
    """Wait for what a killed runner has left: its guards stop it. Two loads at once would be none of either's rate."""
    boot_id = read_clocks().boot_id
    started = {
        int(e.detail["pid"]): e.clocks.wall_s
        for e in entries
        if e.event == "target-started" and e.detail["pid"] and e.clocks.boot_id == boot_id
    }

    def left() -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                generates = process.pid != os.getpid() and Path(process.cwd()) == folder.resolve()
                soaked = process.pid in started and process.create_time() <= started[process.pid] + 1
                if (generates or soaked) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def gone() -> bool:
        _obey(folder, "nothing has begun yet")
        return not left()

    if entries:
        wait_for(
            gone,
            what=f"the end of what the last runner started (processes {left()})",
            timeout_s=_PREDECESSORS_END_WITHIN_S,
            interval_s=0.2,
        )


def _of_this_runner(run: Run) -> list[Entry]:
    began = max(i for i, e in enumerate(run.entries) if e.event == "runner-began")
    return run.entries[began:]
