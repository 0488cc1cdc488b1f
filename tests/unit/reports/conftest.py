"""A plan with every kind of evidence, and records of it that pass or fail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from decision.claims import Wanted
from decision.decide import Decision, decide
from decision.levels import Level
from decision.plan_file import PlanFile, read_plan
from evidence.measurement import LeftOut
from evidence.record import Attachment, Record, Subject
from reports.run_facts import RunFacts
from reports.view import ReportView, build_view
from tests.unit.decision.acts import SIGNERS, approval, waiver
from tests.unit.reports.results import results

NOW = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
LUBIT_SIGNS = {"approver": SIGNERS["approver"]}
SUBJECT = "dirHash1:" + "5c" * 32
PLAN_YAML = Path(__file__).with_name("plan.yaml").read_text()


@dataclass(frozen=True)
class Case:
    """A plan, what is in the ledger, and how to decide and view it."""

    plan_file: PlanFile
    records: tuple[Record, ...]

    def decide(self, level: Level = "rehearsal", **more: Any) -> Decision:
        wanted = {name: Wanted(subject=SUBJECT, inputs={}) for name in self.plan_file.plan.collect}
        return decide(
            self.plan_file.plan,
            self.records,
            wanted,
            level=level,
            now=NOW,
            plan_digest=self.plan_file.digest,
            signers=LUBIT_SIGNS,
            **more,
        )

    def view(self, level: Level = "rehearsal", **more: Any) -> ReportView:
        return self.view_of(self.decide(level, **more))

    def view_of(self, decision: Decision, earlier: Sequence[Record] = ()) -> ReportView:
        run = RunFacts.of(
            self.records, began_at=NOW - timedelta(minutes=4), home=".gonogo", ledger="sqlite:///.gonogo/ledger.sqlite"
        )
        return build_view(self.plan_file, decision, self.records, run, earlier)

    def changed(self, collector: str, **changes: Any) -> "Case":
        """With one record changed; changes of its result are given as ``result={…}``."""
        records = []
        for record in self.records:
            if record.collector == collector:
                values = dict(changes)
                if "result" in values:
                    values["result"] = type(record.result)(**(dict(record.result) | values["result"]))
                record = replace(record, **values)
            records.append(record)
        return Case(self.plan_file, tuple(records))

    def signed_by_lubit(self, level: Level) -> "Case":
        """With Lubit's signature, a minute ago, over what is there now."""
        root = self.decide(level).roots[level]
        return self._with(approval(root, person="Lubit", at=NOW - timedelta(minutes=1)))

    def waived_by_lubit(self, claim: str) -> "Case":
        """With Lubit's waiver of a claim."""
        return self._with(
            waiver(self.plan_file.plan, claim, person="Lubit", owner="GitCode", at=NOW - timedelta(minutes=1))
        )

    def _with(self, act: Record) -> "Case":
        subject = self.records[0].subject
        return Case(self.plan_file, (*self.records, replace(act, subject=subject, sequence=len(self.records) + 1)))

    def without(self, *collectors: str) -> "Case":
        return Case(self.plan_file, tuple(r for r in self.records if r.collector not in collectors))


def make_records() -> tuple[Record, ...]:
    """One passing record of each collector; the first three were in the ledger before the run."""
    records = []
    for index, (collector, result) in enumerate(results().items()):
        reused = index < 3
        started = NOW - (timedelta(hours=5) if reused else timedelta(minutes=4)) + timedelta(seconds=10 * index)
        records.append(
            Record(
                record_id=f"{index + 1:02x}" * 32,
                sequence=index + 1,
                subject=Subject("ion-mentoring", "4.0.0", SUBJECT, commit="0f" * 20),
                collector=collector,
                inputs={},
                result=result,
                outcome="passed",
                summary=f"{collector} as measured",
                started_at=started,
                finished_at=started + timedelta(seconds=8),
                parameters={"profile": "quick"},
                tools={"gonogo": "0.1.0", "python": "3.11.2"},
                left_out=(LeftOut("tests of phase 4", 41, "deselected by -m 'not phase4'"),) if index == 0 else (),
                attachments=(Attachment("junit.xml", "application/xml", "ab" * 32, 5120),) if index == 0 else (),
                signed_by="cd" * 32,
            )
        )
    return tuple(records)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """All evidence passes; the 72-hour soak is short."""
    return read_case(tmp_path_factory.mktemp("plan"), PLAN_YAML)


@pytest.fixture(scope="session")
def bad(good: Case) -> Case:
    """Failing evidence of most kinds."""
    return (
        good.changed(
            "engine-tests",
            outcome="failed",
            result={"passed": 36, "failed": 3, "errors": 1, "skipped": 1, "pass_rate": 36 / 41,
                    "not_passed": ["tests/test_session.py::test_an_expired_session_ends", "b", "c", "d"]},
        )
        .changed("interactions", outcome="failed", result={"passed": 12, "failed": 2, "unexpected_rows": 31})
        .changed("api-timeout", outcome="errored", summary="the fault server could not be started")
        .changed("rehearsal", outcome="failed", result={"completed": False, "outcome": "rolled-back"})
        .without("monitoring")
    )  # fmt: skip


def read_case(folder: Path, plan: str, records: Sequence[Record] | None = None) -> Case:
    path = folder / "plan.yaml"
    path.write_text(plan)
    return Case(read_plan(path), tuple(make_records() if records is None else records))


@pytest.fixture
def case_of(tmp_path: Path) -> Callable[..., Case]:
    """A case from a plan's text."""
    return lambda plan, records=None: read_case(tmp_path, plan, records)
