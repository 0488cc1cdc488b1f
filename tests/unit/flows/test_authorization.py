"""What must still be measured, and what is reused."""

from datetime import UTC, datetime, timedelta

import pytest

from decision.inputs import inputs_of, subject_of
from decision.plan_file import read_plan
from evidence.measurement import Measurement
from evidence.store import open_store
from flows.authorization import conclude, pending
from tests.e2e.small_release import make_release
from tests.unit.decision.factories import soak_result, suite_result
from tests.unit.reports.results import results


@pytest.fixture
def plan_file(tmp_path):
    return read_plan(make_release(tmp_path / "shop") / "plan.yaml")


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "home")
    yield opened
    opened.ledger.close()


def record(plan_file, store, *, hours_ago=0.0, outcome="passed"):
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    measured = Measurement(suite_result(), outcome, "tests", at, at)
    return store.record(subject_of(plan_file), "tests", inputs_of(plan_file, "tests"), measured)


def why(plan_file, store, **options):
    missing, fresh = pending(plan_file, store, profile="quick", **options)
    assert {m.collector for m in missing} | {r.collector for r in fresh} == {"tests", "documents", "contract"}
    return {m.collector: m.why for m in missing}.get("tests")


def test_what_was_never_measured_must_be(plan_file, store):
    assert why(plan_file, store) == "never measured"


def test_fresh_evidence_is_reused(plan_file, store):
    record(plan_file, store)
    assert why(plan_file, store) is None


def test_stale_evidence_is_measured_again(plan_file, store):
    record(plan_file, store, hours_ago=25)
    assert why(plan_file, store).startswith("stale")


@pytest.mark.parametrize("outcome", ["errored", "inconclusive"])
def test_evidence_that_showed_nothing_is_measured_again(plan_file, store, outcome):
    record(plan_file, store, outcome=outcome)
    assert why(plan_file, store).startswith(outcome)


def test_a_failure_is_not_measured_again_until_somebody_asks_for_it(plan_file, store):
    record(plan_file, store, outcome="failed")
    assert why(plan_file, store) is None
    assert why(plan_file, store, rerun=["tests"]) == "asked for"


def test_a_collector_that_no_claim_needs_is_measured_only_when_somebody_asks_for_it(plan_file, store):
    plan = plan_file.path
    spare = "  spare: {kind: load, users: users.py, stages: [{to: 5/s, over: 4s}]}\n  tests:"
    plan.write_text(plan.read_text().replace("  tests:", spare, 1))
    (plan_file.base / "users.py").write_text("")
    changed = read_plan(plan)
    assert "spare" not in {item.collector for item in pending(changed, store, profile="quick")[0]}
    asked = {item.collector: item.why for item in pending(changed, store, profile="quick", rerun=["spare"])[0]}
    assert asked["spare"] == "asked for"


def test_a_load_is_long_enough_when_its_stages_were_or_a_broken_limit_ended_it(plan_file, store):
    plan = plan_file.path
    text = plan.read_text()
    spare = "  load: {kind: load, users: users.py, stages: [{to: 5/s, over: 4s}]}\n  tests:"
    claim = "claims:\n  - {id: fast, says: Fast, needs: load, criteria: {error_rate: {at_most: 1%}}, max_age: 24h}\n"
    plan.write_text(text.replace("  tests:", spare, 1).replace("claims:\n", claim, 1))
    (plan_file.base / "users.py").write_text("")
    changed = read_plan(plan)
    load = results()["load"]
    for changes, short in (
        ({"duration_s": 4.1, "planned_s": 4.0}, False),
        ({"duration_s": 2.0, "planned_s": 4.0}, True),
        ({"duration_s": 2.0, "planned_s": 4.0, "aborted": "error-rate is 30%"}, False),
    ):
        now = datetime.now(UTC)
        measured = Measurement(load.model_copy(update=changes), "failed", "load", now, now)
        store.record(subject_of(changed), "load", inputs_of(changed, "load"), measured)
        missing, _ = pending(changed, store, profile="quick")
        assert ("load" in {item.collector for item in missing}) == short


def test_a_changed_test_makes_its_evidence_void(plan_file, store):
    record(plan_file, store)
    (plan_file.base / "checks" / "test_shop.py").write_text("def test_other(): pass\n")
    assert why(plan_file, store) is not None


def test_a_changed_conftest_makes_the_evidence_of_one_test_file_void(plan_file, store):
    plan = plan_file.path
    plan.write_text(plan.read_text().replace("run: pytest checks", "run: pytest checks/test_shop.py"))
    conftest = plan_file.base / "checks" / "conftest.py"
    conftest.write_text("")
    changed = read_plan(plan)
    before = inputs_of(changed, "tests")
    conftest.write_text("collect_ignore = ['test_shop.py']\n")
    assert inputs_of(changed, "tests") != before


@pytest.mark.parametrize(
    ("hours", "outcome", "again"),
    [(72.0, "passed", False), (71.5, "passed", False), (3.0, "passed", True), (3.0, "failed", False)],
)
def test_a_soak_counts_for_the_hours_that_it_was_under_load(plan_file, store, hours, outcome, again):
    plan_file.path.write_text(
        plan_file.path.read_text()
        .replace("soak: 5s}", "soak: 72h}")
        .replace(
            "claims:\n",
            "  soak: {kind: soak, users: README.md, journey: a, rate: 1/s, memory_limit: 1MB}\nclaims:\n"
            "  - {id: holds, says: So, needs: soak, criteria: {errors: {equals: 0}}, max_age: 14d, gates: [full]}\n",
        )
    )
    changed, at = read_plan(plan_file.path), datetime.now(UTC)
    measured = Measurement(soak_result(hours_under_load=hours), outcome, "soaked", at, at)
    store.record(subject_of(changed), "soak", inputs_of(changed, "soak"), measured)
    missing = {m.collector: m.why for m in pending(changed, store, profile="quick")[0]}
    assert ("soak" in missing) == again
    assert not again or missing["soak"] == "3h measured, profile quick asks for 3d"


def test_what_could_not_be_measured_is_a_hold_that_says_why(plan_file, store):
    concluded = conclude(plan_file, store, level="rehearsal", failures={"tests": "the runner is missing"})
    assert concluded.decision.decision == "HOLD"
    assert concluded.decision.exit_code == 30
