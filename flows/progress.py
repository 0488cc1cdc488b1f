"""Progress of a run, as whoever watches wants to see it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ProgressSink = Callable[[str, float | None, str], None]
"""Called with a name (of a collector or a phase), the share done (None: not known, 1.0: ended) and a short text."""


def _nobody_watches(_name: str, _done: float | None, _text: str) -> None:
    return


_sink: ContextVar[ProgressSink] = ContextVar("progress", default=_nobody_watches)


def report_progress(name: str, done: float | None, text: str) -> None:
    """Tell whoever watches this run."""
    _sink.get()(name, done, text)


@contextmanager
def progress_to(sink: ProgressSink) -> Iterator[None]:
    """Send progress to ``sink`` inside the block."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)
