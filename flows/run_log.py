"""Progress of a flow run on a Prefect server: what starts and what ends goes to the run's log."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger

from flows.progress import progress_to


@contextmanager
def progress_in_the_log() -> Iterator[None]:
    """Log inside the block, which must be inside a flow or task run."""

    def log(name: str, done: float | None, text: str) -> None:
        if done in (0.0, 1.0):
            get_run_logger().info("%s: %s", name, text)

    with progress_to(log):
        yield
