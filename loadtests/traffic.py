"""Traffic for a rollout or a drill: a load whose own figures do not matter, but which must not stop unseen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.generator import Generator, Load, generating

_WINDOW_S = 1.0


@dataclass(frozen=True)
class Traffic:
    """Running traffic."""

    generator: Generator

    def alive(self) -> bool:
        """Whether requests are still being made."""
        return self.generator.process.running()


@contextmanager
def traffic(
    url: str, *, locustfile: Path, journey: str, rate_per_s: float, seed: int, work_dir: Path, longest_s: float
) -> Iterator[Traffic]:
    """Offer ``rate_per_s`` requests a second to ``url`` inside the block, for ``longest_s`` at most."""
    load = Load(url, locustfile, journey, rate_per_s, longest_s, seed, _WINDOW_S)
    (work_dir / "traffic.windows.jsonl").unlink(missing_ok=True)
    with generating(load, work_dir, name="traffic") as generator:
        yield Traffic(generator)
