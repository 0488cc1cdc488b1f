"""The release plan: what a release manager writes, as typed values that fit together."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from decision.collect import Collect
from decision.collect_rollout import AbTestCollect, LivedCollect
from decision.criteria import problems_of
from decision.levels import LEVELS, Level
from decision.objectives import UNCOUNTED, Slo, Stage
from decision.plan_parts import (
    Achievements,
    ApprovalRule,
    Claim,
    Contingency,
    Group,
    Identifier,
    MetricsSpec,
    Part,
    Person,
    Profile,
    Risk,
    RouterSpec,
    SubjectSource,
    Targets,
    WaiverRule,
)
from decision.previous_report import PreviousReport
from decision.rollout_spec import RolloutSpec, parse_time_of_day
from decision.schedule import Schedule, time_of

Place = tuple[str | int, ...]
"""Where in the plan: keys and list positions."""


class BrokenReferences(ValueError):
    """Parts of a plan that do not fit together, each with its place."""

    def __init__(self, problems: list[tuple[Place, str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


class Plan(Part):
    """A release plan. References between its parts are checked; a claim that nothing could satisfy is an error."""

    version: Literal[1]
    release: Identifier
    title: str
    subject: SubjectSource
    people: dict[Identifier, Person]
    notify: tuple[str, ...] = ()
    targets: Targets
    router: RouterSpec = RouterSpec()
    metrics: MetricsSpec = MetricsSpec()
    slo: Slo
    profiles: dict[str, Profile]
    collect: dict[Identifier, Collect]
    claims: tuple[Claim, ...] = Field(min_length=1)
    summary: tuple[Group, ...] = Field(min_length=1)
    achievements: tuple[Achievements, ...] = ()
    risks: tuple[Risk, ...] = ()
    contingencies: tuple[Contingency, ...] = ()
    approvals: dict[Level, tuple[ApprovalRule, ...]] = Field(default_factory=dict)
    waivers: WaiverRule = WaiverRule()
    rollout: RolloutSpec
    schedule: Schedule
    previous_report: PreviousReport | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> "Plan":
        problems = list(_broken_references(self))
        if problems:
            raise BrokenReferences(problems)
        return self

    def claim(self, claim_id: str) -> Claim:
        """The claim with this id. Raises KeyError."""
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        raise KeyError(claim_id)


def _broken_references(plan: Plan) -> Iterator[tuple[Place, str]]:
    yield from _wrong_claims(plan)
    yield from _wrong_claim_references(plan)
    yield from _wrong_people(plan)
    yield from _wrong_rollout(plan)
    yield from _what_nobody_can_tell(plan)
    yield from _wrong_lived(plan)
    yield from _unlimited_loads(plan)
    for level in LEVELS:
        if not any(level in claim.gates for claim in plan.claims):
            yield ("claims",), f"no claim gates the level {level}: it would be reached without evidence"


def _wrong_claims(plan: Plan) -> Iterator[tuple[Place, str]]:
    seen: set[str] = set()
    for index, claim in enumerate(plan.claims):
        if claim.id in seen:
            yield ("claims", index, "id"), f"{claim.id} is used twice"
        seen.add(claim.id)
        if claim.needs not in plan.collect:
            yield ("claims", index, "needs"), f"collect has no {claim.needs!r}; it has {', '.join(plan.collect)}"
        else:
            for problem in problems_of(plan.collect[claim.needs].kind, claim.criteria):
                yield ("claims", index, "criteria"), problem


def _wrong_claim_references(plan: Plan) -> Iterator[tuple[Place, str]]:
    statements = plan.previous_report.statements if plan.previous_report else ()
    references: list[tuple[Place, tuple[str, ...]]] = [
        *((("summary", i, "claims"), group.claims) for i, group in enumerate(plan.summary)),
        *(
            (("achievements", i, "lines", j, "claims"), line.claims)
            for i, heading in enumerate(plan.achievements)
            for j, line in enumerate(heading.lines)
        ),
        *((("risks", i, "proven_by"), risk.proven_by) for i, risk in enumerate(plan.risks)),
        *((("contingencies", i, "proven_by"), c.proven_by) for i, c in enumerate(plan.contingencies)),
        *((("previous_report", "statements", i, "claims"), s.claims) for i, s in enumerate(statements)),
    ]
    known = {claim.id for claim in plan.claims}
    for place, claims in references:
        for claim_id in claims:
            if claim_id not in known:
                yield place, f"there is no claim {claim_id!r}"


def _unlimited_loads(plan: Plan) -> Iterator[tuple[Place, str]]:
    """Loads and soaks that no rate of errors would fail."""
    errors = plan.slo.get("error-rate")
    if errors is None or errors.promote_at_most is None:
        for name, collect in plan.collect.items():
            if collect.kind in ("load", "soak"):
                yield (
                    ("collect", name),
                    f"no errors would fail this {collect.kind}: expected error-rate with promote_at_most in slo",
                )


def _wrong_people(plan: Plan) -> Iterator[tuple[Place, str]]:
    for level, rules in plan.approvals.items():
        for index, rule in enumerate(rules):
            place: Place = ("approvals", level, index)
            wrong = list(_wrong_signers(plan, place, rule.roles))
            yield from wrong
            if not wrong and rule.quorum > len({plan.people[role].name for role in rule.roles}):
                yield place, f"{rule.quorum} different people can never sign: any_of names fewer"
        names = [plan.people[r.role].name for r in rules if r.role in plan.people]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield ("approvals", level), f"{twice[0]} counts once for a level: the second signature can never be given"
    yield from _wrong_signers(plan, ("waivers", "roles"), plan.waivers.roles)
    for name, collect in plan.collect.items():
        if collect.owner not in plan.people:
            yield ("collect", name), f"its owner {collect.owner!r} is not among people: {', '.join(plan.people)}"


def _wrong_rollout(plan: Plan) -> Iterator[tuple[Place, str]]:
    expected = "expected a time, or deploy plus a duration such as deploy + 8d"
    for index, stage in enumerate(plan.rollout.stages):
        place: Place = ("rollout", "stages", index)
        if stage.not_before is not None and time_of(stage.not_before, plan.schedule) is None:
            yield (*place, "not_before"), f"{expected}, not {stage.not_before!r}"
        if stage.approval is not None:
            level = stage.asks_for()
            yield from _wrong_signers(plan, (*place, "approval"), [stage.approval])
            if not any(stage.approval in rule.roles for rule in plan.approvals.get(level, ())):
                yield (*place, "approval"), f"approvals.{level} asks no {stage.approval}: nobody can ever sign it"
    for index, review in enumerate(plan.rollout.windows.reviews):
        if parse_time_of_day(review) is None and time_of(review, plan.schedule) is None:
            yield (
                ("rollout", "windows", "reviews", index),
                f"{expected}, or a time of day such as 08:00, not {review!r}",
            )


def _what_nobody_can_tell(plan: Plan) -> Iterator[tuple[Place, str]]:
    """Limits that the rollout could never hold against anything."""
    rollout, memory = plan.rollout, plan.slo.get("memory")
    if memory is not None and memory.limits and rollout.memory_limit is None:
        yield ("slo", "memory"), "a share of what? expected rollout.memory_limit: the bytes that the candidate may use"
    if rollout.counters is None:
        return
    latency = plan.slo.get("latency-p95")
    if latency is None or latency.promote_at_most is None:
        yield (
            ("rollout", "judge"),
            "counters tell no latencies, only how many requests were slower than a limit: expected latency-p95 with "
            "promote_at_most in slo",
        )
    for name in UNCOUNTED:
        if (objective := plan.slo.get(name)) is not None and objective.limits:
            yield ("slo", name), f"the counters that rollout.judge looks at do not tell {name}: take its limits out"


def _wrong_lived(plan: Plan) -> Iterator[tuple[Place, str]]:
    """Evidence of stages that no rollout could record, and A/B tests whose answer nobody asks for."""
    stages = {stage.name: stage for stage in plan.rollout.stages}
    recorded: dict[tuple[str, str], str] = {}
    for name, collect in plan.collect.items():
        if not isinstance(collect, LivedCollect):
            continue
        place: Place = ("collect", name, "stage")
        if collect.stage not in stages:
            yield place, f"the rollout has no stage {collect.stage!r}; it has {', '.join(stages)}"
        elif isinstance(collect, AbTestCollect) and stages[collect.stage].outcomes is None:
            yield place, f"stage {collect.stage} has no outcomes: its A/B test is never looked at"
        if (other := recorded.setdefault((collect.kind, collect.stage), name)) != name:
            yield place, f"{other} is the same evidence"
    for index, (stage, following) in enumerate(pairwise(plan.rollout.stages)):
        asked = any(_asks_for_test(plan, claim, stage, following) for claim in plan.claims)
        if stage.outcomes is not None and not asked:
            yield (
                ("rollout", "stages", index),
                f"no claim asks for its A/B test at level {following.asks_for()}: expected a limit for verdict "
                "of a collector of kind ab-test",
            )


def _asks_for_test(plan: Plan, claim: Claim, stage: Stage, following: Stage) -> bool:
    collect = plan.collect.get(claim.needs)
    return (
        isinstance(collect, AbTestCollect)
        and collect.stage == stage.name
        and "verdict" in claim.criteria
        and following.asks_for() in claim.gates
    )


def _wrong_signers(plan: Plan, place: Place, roles: Sequence[str]) -> Iterator[tuple[Place, str]]:
    for role in roles:
        if role not in plan.people:
            yield place, f"people has no {role!r}; it has {', '.join(plan.people)}"
        elif plan.people[role].machine:
            yield place, f"{plan.people[role].name} is a machine and never counts as an approver"
        elif plan.people[role].signers is None:
            yield place, f"{plan.people[role].name} can never sign: people.{role} names no signers file"
