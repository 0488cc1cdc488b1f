"""One soak's material, read once: what every figure of it is computed from. A soak of several nights has several."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from evidence.soak_result import SoakNight
from loadtests.samples import Reading, Sample, parse_samples, readings_of
from loadtests.soak_folder import JOURNAL, SAMPLES, Material
from loadtests.soak_gaps import Placed, place, span_s, under_load_s
from loadtests.soak_journal import Entry, deaths_of, end_of, parse_journal
from loadtests.windows import Totals


@dataclass(frozen=True)
class Night:
    """What one soak from its start to its end has left, on its own clock. ``record_id``: None for the present one."""

    record_id: str | None
    entries: Sequence[Entry]
    placed: Sequence[Placed]
    control_placed: Sequence[Placed]
    samples: Sequence[Sample]

    @cached_property
    def readings(self) -> list[Reading]:
        """What was read of the target."""
        return readings_of(self.samples, "target")

    @cached_property
    def control_readings(self) -> list[Reading]:
        """What was read of the control."""
        return readings_of(self.samples, "control")

    @property
    def began_s(self) -> float:
        """When its first window began."""
        return self.placed[0].window.started_at_s

    @property
    def ended_why(self) -> str:
        """Why it ended for good; empty while it may go on."""
        end = end_of(self.entries)
        return end.why if end else ""

    @property
    def time(self) -> tuple[datetime, datetime]:
        """From first to last window; when the wall clock was set back meanwhile, they are not in the future."""
        finished_s = min(self.placed[-1].window.finished_at_s, self.entries[-1].clocks.wall_s)
        finished_at = datetime.fromtimestamp(finished_s, UTC)
        return finished_at - timedelta(seconds=span_s(self.placed)), finished_at


def read_night(material: Material, record_id: str | None = None) -> Night:
    """What the material of a soak says. Raises CollectError when it is damaged."""
    entries, samples = parse_journal(material.journal, JOURNAL), parse_samples(material.samples, SAMPLES)
    sampled_s = [sample.at_s for sample in samples]
    return Night(
        record_id=record_id,
        entries=entries,
        placed=place(material.segments(), entries, sampled_s),
        control_placed=place(material.segments(control=True), entries, sampled_s, placed_by="control-placed"),
        samples=samples,
    )


def night_result(night: Night, totals: Totals) -> SoakNight:
    """What one night showed by itself; ``totals`` are those of its windows."""
    started_at, finished_at = night.time
    end = end_of(night.entries)
    return SoakNight(
        record_id=night.record_id,
        started_at=started_at,
        finished_at=finished_at,
        hours_under_load=under_load_s(night.placed) / 3600,
        ended=end.how if end else "unfinished",
        target_deaths=deaths_of(night.entries, "target"),
        completed=totals.completed,
        held_rate=totals.held_rate,
        error_rate=totals.error_rate,
        p95_ms=totals.latency.p95_ms,
    )
