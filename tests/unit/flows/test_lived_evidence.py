"""Evidence that only the rollout in production can record: what plans may ask for, and who ever measures it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.main import run
from decision.collect import is_measured_here
from decision.decide import decide
from decision.inputs import inputs_of, inputs_of_stage, subject_of, wanted_of
from decision.plan_file import PlanError, PlanFile, read_plan
from evidence.measurement import Measurement
from evidence.results import RolloutResult
from evidence.store import EvidenceStore, open_store
from flows.authorization import awaited, pending
from flows.nightly import every_night
from flows.stage_evidence import LedgerEvidence
from flows.staged_rollout import start
from processes.errors import UsageError
from rollouts.journal import Entry
from rollouts.started import Started, read_started
from tests.e2e.small_release import PLAN, make_release

COLLECT = """\
  canary-lived: {kind: rollout, mode: production, stage: canary}
  buyers: {kind: ab-test, stage: ab-test}
claims:
  - {id: canary, says: The canary is not worse, needs: canary-lived, max_age: 24h, gates: [ab-test, full],
     criteria: {stages_completed: {equals: 1}, days: {at_least: 7}, verdict: {equals: non-inferior}}}
  - {id: buyers, says: Users buy more, needs: buyers, max_age: 24h, gates: [full],
     criteria: {verdict: {equals: better}}}
"""
STAGES = """\
rollout:
  stages:
    - {name: canary, share: 5%, minimum: 7d}
    - name: ab-test
      share: 50%
      minimum: 14d
      metrics: {bought: {type: proportion, baseline: 40%, expected: 60%, minimum_effect: 3pp}}
      outcomes: {from: run/outcomes.csv}
    - {name: full, share: 100%}
"""


def lived_plan() -> str:
    assert "rollout:\n  stages: [{name: full, share: 100%}]\n" in PLAN
    return PLAN.replace("claims:\n", COLLECT).replace("rollout:\n  stages: [{name: full, share: 100%}]\n", STAGES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_release(tmp_path / "shop")
    (made / "plan.yaml").write_text(lived_plan())
    return made


@pytest.fixture
def plan_file(folder: Path) -> PlanFile:
    return read_plan(folder / "plan.yaml")


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "home")
    yield opened
    opened.ledger.close()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stage: canary}", "stage: kanary}", "the rollout has no stage 'kanary'; it has canary, ab-test, full"),
        ("{kind: ab-test, stage: ab-test}", "{kind: ab-test, stage: canary}", "stage canary has no outcomes"),
        ("mode: production, stage: canary", "mode: production", "expected the key 'stage'"),
        ("mode: production", "mode: prodcution", "collect.canary-lived.mode"),
        (
            "  buyers: {kind",
            "  again: {kind: rollout, mode: production, stage: canary}\n  buyers: {kind",
            "is the same",
        ),
        ("verdict: {equals: better}", "units: {at_least: 9}", "no claim asks for its A/B test at level full"),
        ("      metrics: {bought", "      # metrics: {bought", "outcomes are of the metrics of an A/B test"),
        ("{name: full, share: 100%}", "{name: full, share: 100%, metrics: {a: {type: mean}}}", "a share below 100%"),
        ("{from: run/outcomes.csv}", "{from: 'ftp://shop/a.csv'}", "begins with http:// or https://"),
    ],
)
def test_a_plan_that_asks_for_what_no_rollout_can_record_is_wrong(folder: Path, old: str, new: str, said: str) -> None:
    assert old in lived_plan()
    (folder / "plan.yaml").write_text(lived_plan().replace(old, new, 1))
    with pytest.raises(PlanError, match=said):
        read_plan(folder / "plan.yaml")


def test_an_authorization_never_measures_it_and_says_who_will(plan_file: PlanFile, store: EvidenceStore) -> None:
    missing, _ = pending(plan_file, store, profile="quick", rerun=["buyers"])
    assert {item.collector for item in missing} == {"tests", "documents", "contract"}
    assert [(item.collector, item.why) for item in awaited(plan_file, store, profile="quick")] == [
        ("canary-lived", "never measured"),
        ("buyers", "never measured"),
    ]
    assert not {"canary-lived", "buyers"} & set(every_night(plan_file.plan))
    assert not is_measured_here(plan_file.plan.collect["buyers"])


def test_the_way_to_go_names_the_stage_that_must_be_lived_through(plan_file: PlanFile) -> None:
    decision = decide(
        plan_file.plan, [], wanted_of(plan_file), level="full", now=datetime.now(UTC), plan_digest=plan_file.digest
    )
    steps = {step.claims: step for step in decision.missing}
    assert (
        steps["canary",].does == "Live through stage canary of the rollout, for canary-lived: The canary is not worse"
    )
    assert (steps["canary",].hours, steps["buyers",].hours) == (7 * 24, 14 * 24)


def test_the_command_line_shows_it_apart_and_refuses_to_measure_it(folder: Path, tmp_path: Path, capsys) -> None:
    home = ["--home", str(tmp_path / "home")]
    assert run(["plan", "show", str(folder / "plan.yaml"), *home]) == 0
    assert "by rollout canary-lived             never measured: its stage in production" in capsys.readouterr().out
    assert run(["plan", "show", str(folder / "plan.yaml"), "--json", *home]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [item["collector"] for item in shown["by_the_rollout"]] == ["canary-lived", "buyers"]
    assert run(["authorize", str(folder / "plan.yaml"), "--rerun", "buyers", *home]) == 2
    assert "--rerun buyers: is not measured here" in capsys.readouterr().err


def a_stage(at: datetime, **changed: object) -> Measurement:
    counts = {"stages_completed": 1, "canary_requests": 9, "canary_errors": 0, "users_exposed": 3, "ticks": 1}
    result = RolloutResult.model_validate(
        {
            "mode": "production", "router": "embedded", "completed": False, "outcome": "unfinished", "why": "",
            "stages": [], "requests_to_harm": None, "harm_to_stable_ms": None, "stage": "canary", "share": 0.05,
            "days": 7.0, "verdict": "non-inferior", **counts, **changed,
        }
    )  # fmt: skip
    return Measurement(result, "passed", "", at, at, parameters={"rollout_id": "r", "entry": 7})


def test_a_rollout_signs_under_the_plans_collector_on_the_stage_as_it_was_started(
    plan_file: PlanFile, store: EvidenceStore
) -> None:
    plan, now = plan_file.plan, datetime.now(UTC)
    detail = Started(subject_of(plan_file), plan_file.digest, plan.rollout, plan.schedule, plan.slo, None).as_detail()
    started = read_started(Entry(1, now, "start", "canary", 0, json.loads(json.dumps(detail))))
    evidence, stage = LedgerEvidence(plan_file, store, "r", started), started.spec.stages[0]
    assert inputs_of_stage(plan_file, "canary-lived", stage, started.slo) == inputs_of(plan_file, "canary-lived")
    assert evidence.asks_for(stage)
    assert not evidence.asks_for(started.spec.stages[2])
    assert evidence.signed("rollout", 7) is None
    evidence.sign(stage, "rollout", a_stage(now))
    assert evidence.signed("rollout", 7) == a_stage(now).result
    assert evidence.signed("rollout", 8) is evidence.signed("ab-test", 7) is None
    assert replace(evidence, rollout_id="another").signed("rollout", 7) is None
    records, _ = store.records(started.subject.digest)

    def verdict(plan_file: PlanFile) -> str:
        decided = decide(
            plan_file.plan, records, wanted_of(plan_file), level="full", now=now, plan_digest=plan_file.digest
        )
        return decided.claim("canary").verdict

    assert verdict(plan_file) == "PROVEN"
    text = plan_file.path.read_text()
    for old, new, left in (
        ("share: 5%, minimum: 7d", "share: 5%, minimum: 6d", "NOT PROVEN"),
        ("roll_back_above: 1%", "roll_back_above: 2%", "NOT PROVEN"),
        ("title: Shop 2", "title: Shop two", "PROVEN"),
    ):
        assert old in text
        plan_file.path.write_text(text.replace(old, new))
        assert verdict(read_plan(plan_file.path)) == left, new


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "      outcomes: {from: run/outcomes.csv}\n",
            "",
            "stage ab-test has metrics, and no outcomes to take them from",
        ),
        ("baseline: 40%, expected: 60%, ", "", "its A/B test has no planned size"),
    ],
)
def test_a_rollout_whose_ab_test_could_never_be_looked_at_is_not_started(
    folder: Path, store: EvidenceStore, tmp_path: Path, old: str, new: str, said: str
) -> None:
    router = """\
  router: {kind: embedded, listen: "127.0.0.1:1", stable: "http://a:1", candidate: "http://a:2", control: c,
           request_log: l}
"""
    text = lived_plan().replace("rollout:\n", "rollout:\n" + router).replace(old, new)
    if not new and "outcomes" in old:
        text = text.replace(COLLECT, "claims:\n")
    (folder / "plan.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        start(folder / "plan.yaml", tmp_path / "home", "a test")
