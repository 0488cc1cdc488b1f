"""The verdict of one claim. Pure: evidence in, verdict out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from decision.criteria import CriterionResult, evaluate
from decision.levels import Level
from decision.plan_parts import Claim
from decision.quantities import duration_text
from evidence.measurement import Outcome
from evidence.record import Record
from evidence.results import LoadResult, TestSuiteResult

Verdict = Literal["PROVEN", "REFUTED", "NOT PROVEN", "WAIVED"]


@dataclass(frozen=True)
class Wanted:
    """What evidence must have been measured on to count: the subject's digest and the digests of the inputs."""

    subject: str
    inputs: dict[str, str]


class ClaimVerdict(BaseModel):
    """A claim with its verdict, why, and the evidence behind it (None when there is none)."""

    model_config = ConfigDict(frozen=True)

    id: str
    says: str
    verdict: Verdict
    reasons: tuple[str, ...]
    criteria: tuple[CriterionResult, ...]
    needs: str
    gates: tuple[Level, ...]
    record_id: str | None
    summary: str | None
    outcome: Outcome | None
    measured_at: datetime | None
    valid_until: datetime | None


def usable(record: Record, wanted: Wanted) -> str | None:
    """Why a record does not count for the present subject and inputs; None when it does."""
    if record.subject.digest != wanted.subject:
        return "the newest evidence is of another subject"
    changed = sorted(
        name
        for name in record.inputs.keys() | wanted.inputs.keys()
        if record.inputs.get(name) != wanted.inputs.get(name)
    )
    return f"changed since it was measured: {', '.join(changed)}" if changed else None


def newest_usable(records: list[Record], collector: str, wanted: Wanted) -> tuple[Record | None, str]:
    """The newest record of a collector that counts, and if none does, why the newest one does not."""
    own = sorted(
        (r for r in records if r.collector == collector), key=lambda r: (r.finished_at, r.sequence), reverse=True
    )
    for record in own:
        if usable(record, wanted) is None:
            return record, ""
    return None, (usable(own[0], wanted) or "") if own else "never measured"


def judge_claim(
    claim: Claim, records: list[Record], wanted: Wanted, now: datetime, failure: str | None = None
) -> ClaimVerdict:
    """Decide one claim at the time ``now`` (aware). ``failure`` says why the last attempt to measure it failed."""
    record, why_none = newest_usable(records, claim.needs, wanted)
    if failure:
        return _verdict(claim, "NOT PROVEN", (f"errored: {failure}",), (), None)
    if record is None:
        return _verdict(claim, "NOT PROVEN", (f"no evidence from {claim.needs}: {why_none}",), (), None)
    results = tuple(evaluate(field, criterion, record.result) for field, criterion in claim.criteria.items())
    verdict, reasons = _weigh(claim, record, results, now)
    return _verdict(claim, verdict, reasons, results, record)


def _weigh(
    claim: Claim, record: Record, results: tuple[CriterionResult, ...], now: datetime
) -> tuple[Verdict, tuple[str, ...]]:
    if record.finished_at > now + timedelta(minutes=5):
        return "NOT PROVEN", (f"measured in the future, at {record.finished_at:%Y-%m-%d %H:%M} UTC",)
    age = now - record.finished_at
    if age > timedelta(seconds=claim.max_age):
        age_text = duration_text(age.total_seconds())
        return "NOT PROVEN", (f"stale: {age_text} old, at most {duration_text(claim.max_age)} counts",)
    if record.outcome == "errored":
        return "NOT PROVEN", (f"errored: {record.summary}",)
    missed = tuple(r for r in results if r.holds == "no")
    too_little = tuple(r for r in results if r.holds == "too-little")
    undetermined = tuple(r for r in results if r.holds == "undetermined")
    reasons = tuple(_reason(r) for r in (*too_little, *undetermined, *missed))
    if record.outcome == "inconclusive":
        return "NOT PROVEN", reasons or (f"inconclusive: {record.summary}",)
    if too_little and record.outcome == "passed":
        # What was seen so far is fine by the collector's own checks, but not enough to speak for the claim.
        return "NOT PROVEN", reasons
    if missed or too_little:
        return "REFUTED", reasons
    if isinstance(record.result, LoadResult) and record.result.aborted:
        # Its totals may look good: most of them were counted before.
        return "REFUTED", (f"the load was ended: {record.result.aborted}",)
    if undetermined:
        return "NOT PROVEN", reasons
    if isinstance(record.result, TestSuiteResult) and record.result.problems:
        # Criteria may tolerate a failure that was counted, but not one that may be missing from the count.
        return "NOT PROVEN", tuple(f"the count is in doubt: {problem}" for problem in record.result.problems[:3])
    return "PROVEN", ()


def _reason(result: CriterionResult) -> str:
    observed = result.observed
    text = "unknown" if observed is None else f"{observed:.4g}" if isinstance(observed, float) else str(observed)
    words = {"too-little": "too little yet: ", "undetermined": "not determined: "}.get(result.holds, "")
    return f"{words}{result.field} is {text}, needed {result.limit}"


def _verdict(
    claim: Claim,
    verdict: Verdict,
    reasons: tuple[str, ...],
    criteria: tuple[CriterionResult, ...],
    record: Record | None,
) -> ClaimVerdict:
    return ClaimVerdict(
        id=claim.id,
        says=claim.says,
        verdict=verdict,
        reasons=reasons,
        criteria=criteria,
        needs=claim.needs,
        gates=claim.gates,
        record_id=record.record_id if record else None,
        summary=record.summary if record else None,
        outcome=record.outcome if record else None,
        measured_at=record.finished_at if record else None,
        valid_until=record.finished_at + timedelta(seconds=claim.max_age) if record else None,
    )
