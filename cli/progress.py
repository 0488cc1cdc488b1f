"""Progress on stderr: live lines on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from flows.progress import ProgressSink, progress_to


@contextmanager
def progress_on_stderr() -> Iterator[None]:
    """Show the progress of everything that runs inside the block."""
    if sys.stderr.isatty():
        with _live_lines() as sink, progress_to(sink):
            yield
    else:
        with progress_to(_plain_lines()):
            yield


def _plain_lines() -> ProgressSink:
    """A line when something starts and ends, and every quarter in between."""
    started = time.monotonic()
    said: dict[str, int] = {}
    lock = Lock()

    def sink(name: str, done: float | None, text: str) -> None:
        quarter = -1 if done is None else int(done * 4)
        with lock:
            if said.get(name) == quarter and done is not None:
                return
            said[name] = quarter
        share = "" if done is None or done >= 1 else f"{done:4.0%} "
        print(f"[{time.monotonic() - started:5.0f}s] {name}: {share}{text}", file=sys.stderr, flush=True)

    return sink


@contextmanager
def _live_lines() -> Iterator[ProgressSink]:
    text = Column(ratio=1, no_wrap=True, overflow="ellipsis")  # a long text must not push the others aside
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[title]}", table_column=Column(no_wrap=True, min_width=14)),
        BarColumn(12, table_column=Column(min_width=12)),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.description}", table_column=text),
    )
    with Progress(*columns, console=Console(stderr=True), expand=True) as display:
        tasks: dict[str, TaskID] = {}

        def sink(name: str, done: float | None, text: str) -> None:
            if name not in tasks:
                tasks[name] = display.add_task("", total=1.0, title=name)
            task = tasks[name]
            shown = " ".join(text.split()).replace("[", r"\[")
            display.update(task, description=shown, completed=done or 0.0)
            if done == 1.0:
                display.stop_task(task)

        yield sink
