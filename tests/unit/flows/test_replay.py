"""Every kind that can be replayed, from raw material made here: what follows from it, and nothing else, is accepted."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import contract, external_api_drill
from collectors.accuracy import outcome_of
from collectors.documentation import check_documents
from collectors.http_requests import Exchange
from collectors.paired_accuracy import compare, read_outcomes
from collectors.test_suite import ingest_results
from decision.collect import DocumentFile
from decision.objectives import Stage
from evidence.kinds import RESULTS
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.results import DrillResult, MonitoringResult, Result
from evidence.soak_result import SoakResult
from expectations import runner
from flows.replay import NOT_REPLAYED, OBSERVED, REPLAYS
from loadtests import load, soak_folder, soak_result
from loadtests.schedule import shape_text, staged
from loadtests.windows import parse_windows
from rollouts import ab_test, drill, lived, router_drills
from rollouts.ab_rows import Rows
from rollouts.auto_rollback import judge_auto_rollback
from rollouts.kept_requests import keep_requests, read_kept_requests
from rollouts.roll_back import RolledBack
from rollouts.rules import Rules, decide_stage
from rollouts.samples import RequestSample
from rollouts.stage import Seen
from rollouts.triggers import failures_in_a_row, window_of
from tests.unit.flows.replaying import replayed, replays, unseen_changes
from tests.unit.loadtests.test_windows import window
from tests.unit.rollouts.requests import SLO, routed

NOW = datetime(2026, 1, 10, tzinfo=UTC)
LEDGER_DOCUMENT = Path(__file__).parents[3] / "docs" / "ledger.md"


def measured(result: Result, outcome: Outcome, attachments: dict[str, bytes], **parameters: object) -> Measurement:
    kept = [AttachmentContent(name, "application/octet-stream", content) for name, content in attachments.items()]
    return Measurement(result, outcome, "", NOW, NOW, parameters=parameters, attachments=kept)  # type: ignore[arg-type]


def window_lines(count: int) -> bytes:
    entries = [vars(window(10.0 * n, latencies_us=range(900 + n, 1900, 9))) for n in range(count)]
    names = {"started_at_s": "started_at", "finished_at_s": "finished_at"}
    entries = [{names.get(key, key): value for key, value in entry.items()} for entry in entries]
    return "".join(json.dumps(entry | {"sequence": n % 2}) + "\n" for n, entry in enumerate(entries)).encode()


def a_load(_: Path) -> Measurement:
    content = window_lines(3)
    shape = staged([(13.0, 10), (12.0, 20)])
    offering = load.Offering("candidate", "full", shape, 7, 1)
    result = load.result_of(parse_windows(content, "w"), offering, SLO)
    limits = {"error_rate_at_most": 0.005, "p95_ms_at_most": 0.2}
    recorded = vars(offering) | {"shape": shape_text(shape), "slo": load._slo_text(SLO)}
    return measured(result, "failed", {"windows.jsonl": content}, **recorded, **limits)


def a_soak(_: Path) -> Measurement:
    """Two segments with a control, a death of the target, a clock that was set, and a sample that is missing."""
    noise = np.random.default_rng(1)
    resources = {"pid": 1, "created_at_s": 0.5, "cpu_s": 1.0, "threads": 3, "open_files": 4, "connections": 1}
    samples, journal = [], []
    for n in range(30):
        target = resources | {"rss_bytes": int(2e8 + 1e4 * n + 1e5 * noise.normal())}
        control = resources | {"rss_bytes": int(1.9e8 + 1e5 * noise.normal())}
        samples.append({"at_s": n * 150.0 + 1, "target": None if n == 7 else target, "control": control})
    for at_s, event, detail in (
        (0.0, "runner-began", {"pid": 1, "by": "ada", "not_before_s": None}),
        (0.0, "segment-began", {"segment": 1}),
        (10.0, "segment-placed", {"segment": 1}),
        (10.0, "control-placed", {"segment": 1}),
        (21.0, "segment-ended", {"segment": 1, "cause": None}),
        (21.5, "target-ended", {"role": "target"}),
        (25.0, "segment-began", {"segment": 2}),
        (45.0, "segment-ended", {"segment": 2, "cause": "the load generator ended with 137"}),
        (50.0, "soak-ended", {"how": "aborted", "why": "error-rate was too high"}),
    ):
        clocks = {"boot_id": "a", "wall_s": at_s + (7 if at_s == 50 else 0), "boot_s": at_s, "monotonic_s": at_s}
        journal.append({"event": event, **clocks, **detail})
    windows = [json.loads(line) for line in window_lines(4).splitlines()]
    numbered = [{"segment": 1 + n // 2, **entry} for n, entry in enumerate(windows)]
    for entry in numbered[2:]:
        entry |= {"started_at": entry["started_at"] + 5, "finished_at": entry["finished_at"] + 5}
    lines = [
        "".join(json.dumps(entry) + "\n" for entry in entries).encode()
        for entries in (numbered, numbered[:2], samples, journal)
    ]
    material = soak_folder.Material(*lines, damaged=0)
    soaking = soak_result.Soaking("candidate", "stable", 1.5, 512e6, 0.05, 0.5)
    made = soak_result.measurement_of(material, soaking, {})
    assert made.outcome == "failed"
    assert isinstance(made.result, SoakResult)
    assert made.result.trend.slope_per_hour is not None
    assert made.result.clock_jumps
    assert made.result.gaps
    return replace(made, started_at=NOW, finished_at=NOW)


def rollout_material(**bad: float) -> tuple[dict[str, bytes], lived.Lived]:
    rules = lived.Rules(SLO, 1.0, 0.01 / 6, 10.0)
    names = (("canary", 0.2, 4000), ("full", 1.0, 900))
    stages, back, entries = [], None, []
    for name, share, count in names:
        stage = Stage.model_validate({"name": name, "share": share, "requests": 250, "salt": "a"})
        requests = routed(count, share=share, seed=3, **(bad or {"canary_ms": 4.9}))
        seen = Seen(requests, [window_of(requests, memory=0.4, cpu=0.1)], failures_in_a_row(requests), 80.0, 0.1, True)
        step = lived.decide_stage(seen, stage, rules)
        after = routed(60, share=0.02, seed=4) if step.action != "promote" else []
        back = RolledBack(1.5, 1.6, True, after) if after else None
        stages.append(lived.LivedStage(stage, seen, after, 12))
        entries.append(
            {"action": "roll-back" if after else "promote", "stage": stage.name, "detail": {"why": step.why}}
        )
        if after:
            break
    whole = lived.Lived(stages, len(names), rules, back)
    journal = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    return lived.material_of(whole) | {lived.JOURNAL: journal}, whole


def a_rollout(_: Path, **bad: float) -> Measurement:
    material, whole = rollout_material(**bad)
    result = lived.result_of(whole, "embedded")
    return measured(result, lived.measured(result), material, router="embedded")


def a_good_rollout(folder: Path) -> Measurement:
    rollout = a_rollout(folder)
    assert rollout.outcome == "passed"
    return rollout


def a_bad_rollout(folder: Path) -> Measurement:
    rollout = a_rollout(folder, canary_errors=0.3)
    assert rollout.outcome == "failed"
    return rollout


def one_stage(_: Path, *, ended_as: str = "show") -> Measurement:
    """A stage of a rollout in production by itself, as it has shown or as an A/B test ended it."""
    seen = routed(8000, share=0.5, seed=3)
    window = window_of(seen[-200:], cpu=0.1, memory=0.1)
    decided = Seen(seen, [window], failures_in_a_row(seen), 700_000.5, 1.0, True)
    stage = Stage(name="canary", share=0.5, requests=1000, salt="a")
    rules = Rules(SLO, 0.0, 0.001, 300.0)
    by_test = {} if ended_as == "show" else {"ended_by": "A/B test: worse", "ended_as": ended_as}
    one = lived.LivedStage(stage, decided, [], 9, rules=rules, lapsed_s=12.25, **by_test)  # type: ignore[arg-type]
    material = lived.material_of(lived.Lived([one], 4, rules, None, "production", 77, alone=True))
    why = by_test.get("ended_by") or decide_stage(decided, stage, rules).why
    entries = [("promote", "earlier", "x"), (ended_as, "canary", why)]
    lines = [json.dumps({"action": a, "stage": s, "detail": {"why": w}}) + "\n" for a, s, w in entries]
    material[lived.JOURNAL] = "".join(lines).encode()
    result = lived.rollout_of(material, "haproxy")
    assert result.stage == "canary"
    assert result.days == (700_000.5 - 12.25) / 86400
    return measured(result, lived.measured(result), material, router="haproxy")


def a_stage(folder: Path) -> Measurement:
    made = one_stage(folder)
    assert made.outcome == "passed"
    return made


def a_stage_taken_back(folder: Path) -> Measurement:
    made = one_stage(folder, ended_as="roll-back")
    assert made.outcome == "failed"
    return made


def an_ab_test(_: Path) -> Measurement:
    users = np.arange(3000)
    arms = np.where(users % 2, "canary", "stable").astype(object)
    won = (users * 7919 % 100 < np.where(users % 2, 55, 40)).astype(float)
    won[::50] = np.nan
    before = users * 31 % 17 / 4
    rows = Rows(
        np.array([f"{user:x}" for user in users], dtype=object),
        arms,
        {"won": won, "minutes": before + users % 2 + users * 17 % 7, "before": before},
        {"country": np.where(users % 3, "NO", "SE").astype(object)},
    )
    test = {
        "stage": "ab-test",
        "share": 0.5,
        "metrics": {
            "won": {"type": "proportion", "baseline": 0.4, "minimum_effect": {"absolute": 0.03, "relative": None}},
            "minutes": {"type": "mean", "role": "guardrail", "margin": "10%", "covariate": "before"},
        },
        "analysis": {"segments": ["country"]},
        "planned_units": 2000,
        "days": 14.0625,
    }
    material = {ab_test.OUTCOMES: ab_test.kept(rows), ab_test.TEST: json.dumps(test).encode()}
    result, _ = ab_test.test_of(material)
    return measured(result, ab_test.outcome_of(result), material)


def an_auto_rollback(folder: Path) -> Measurement:
    return judge_auto_rollback(a_bad_rollout(folder), {"FAULT": "x"})


def a_rollback(_: Path) -> Measurement:
    phases = {name: routed(200, share=0.5, seed=n) for n, name in enumerate(("exposed", "rollback", "unwatched"))}
    phases["afterwards"] = routed(200, share=0.0)
    times = {"decided_at_s": 0.21, "confirmed_at_s": 0.25, "settled": True, "renewed_at_s": 0.1}
    raw = {"requests.parquet": keep_requests(phases), "times.json": json.dumps(times).encode()}
    result = drill.drill_of(raw)
    assert result.recovery_ms is not None
    return measured(result, "passed" if not result.failed else "failed", raw)


def a_lease_lapse(_: Path) -> Measurement:
    phases = {"exposed": routed(200, share=0.5, seed=1), "unwatched": routed(200, share=0.5, seed=2)}
    phases["unwatched"] += [replace(r, at_s=r.at_s + 5, backend="stable") for r in routed(100, share=0.5, seed=3)]
    raw = {"requests.parquet": keep_requests(phases), "times.json": json.dumps({"killed_at_s": 0.1}).encode()}
    result = router_drills.lease_lapse_of(raw)
    assert result.recovery_ms is not None
    return measured(result, "passed" if not result.failed else "failed", raw)


def a_router_restart(_: Path) -> Measurement:
    phases = {name: routed(200, share=0.5, seed=n) for n, name in enumerate(("exposed", "again"))}
    phases["restarted"] = routed(60, share=0.0)
    asked = [(n / 100, n / 100 + 0.005, 0 if n == 10 else 200) for n in range(100)]
    times = {"exposed_at_s": 0.0, "killed_at_s": 0.102, "died_at_s": 0.104, "told_at_s": 0.0}
    raw = {
        "requests.parquet": keep_requests(phases),
        "asked.json": json.dumps({"asked": asked}).encode(),
        "times.json": json.dumps(times).encode(),
    }
    result = router_drills.router_restart_of(raw)
    assert result.recovery_ms is not None
    return measured(result, "passed" if not result.failed else "failed", raw)


def a_data_check(_: Path) -> Measurement:
    seen = {"name": "a: values", "observed": "1 of 9 unexpected", "success": False, "raised": False}
    results = [seen | {"unexpected_rows": [1, 4]}, seen | {"success": True, "unexpected_rows": []}]
    validation = {"rows": 9, "results": [*results, seen | {"raised": True, "unexpected_rows": [4]}]}
    result = runner.result_of(validation, "a.csv")
    assert (result.passed, result.failed, result.errored, result.unexpected_rows) == (1, 1, 1, 2)
    return measured(result, "failed", {"validation.json": json.dumps(validation).encode()}, data="a.csv")


def an_accuracy(_: Path) -> Measurement:
    content = b"unit,phase3,phase4\n" + b"".join(b"u%d,%d,%d\n" % (n % 9, n % 2, n % 3 > 0) for n in range(40))
    result = compare(read_outcomes(content, "o"), "phase4", "phase3")
    return measured(result, outcome_of(result), {"outcomes.csv": content}, candidate="phase4", baseline="phase3")


def documents(folder: Path) -> Measurement:
    (folder / "a.md").write_text("# A\n\n[b](b.md#b) [gone](gone.md) [c](b.md#c)\n")
    (folder / "b.md").write_text("# B\n")
    files = [DocumentFile(path=Path(name), lines_at_least=2) for name in ("a.md", "b.md", "c.md")]
    return check_documents(files, base=folder)


def a_suite(folder: Path) -> Measurement:
    (folder / "junit.xml").write_text(
        '<testsuite tests="2" failures="1" errors="0"><testcase name="a" time="0.125"/>'
        '<testcase name="b" time="1.5"><failure/></testcase></testsuite>'
    )
    return ingest_results([folder / "junit.xml"])


def exchange(path: str, status: int, body: object) -> Exchange:
    return Exchange("GET", path, status, "application/json", json.dumps(body), body, 12.345)


def a_contract(_: Path) -> Measurement:
    checks = [
        {"name": "served", "check": "requests", "requests": [
            {"path": "/a", "save": {"id": "id"}}, {"path": "/a/{id}", "equals": {"id": "{id}"}}
        ]},
        {"name": "missing", "check": "requests", "requests": [{"path": "/b", "expect": 404}]},
    ]  # fmt: skip
    exchanges = [exchange("/a", 200, {"id": 7}), exchange("/a/7", 200, {"id": 7}), exchange("/b", 200, {})]
    raw = {
        "contract-exchanges.jsonl": "".join(json.dumps(one.record()) + "\n" for one in exchanges).encode(),
        "contract-checks.json": json.dumps({"checks": checks}).encode(),
    }
    result, _left_out = contract.result_of(raw)
    assert (result.passed, result.failed) == (1, 1)
    return measured(result, "failed", raw)


def an_api_drill(_: Path) -> Measurement:
    journey = {
        "steps": [{"path": "/a"}], "text_field": "text",
        "when_healthy": {"source": "api"}, "when_faulty": {"source": "own"},
    }  # fmt: skip
    answers = {"healthy": {"text": "said", "source": "api"}, "hang": {"text": "own", "source": "own"}}
    lines = [
        {"leg": leg, "ended_ms": 10.5 * n, **exchange("/a", 200 if leg == "healthy" or n else 500, answer).record()}
        for leg, answer in answers.items()
        for n in range(3)
    ]
    legs = [{"fault": None, "text": "said", "calls": 3}, {"fault": "hang", "text": "other", "calls": 2}]
    described = {"journey": journey, "answer_within_ms": 100.0, "legs": legs}
    raw = {
        "external-api-drill.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode(),
        "external-api-legs.json": json.dumps(described).encode(),
    }
    result = external_api_drill.result_of(raw)
    assert result.errors == 1
    return measured(result, "failed", raw)


KINDS: dict[str, Callable[[Path], Measurement]] = {
    "load": a_load,
    "soak": a_soak,
    "rollout": a_good_rollout,
    "rollout, rolled back": a_bad_rollout,
    "rollout, one stage": a_stage,
    "rollout, one stage taken back": a_stage_taken_back,
    "ab-test": an_ab_test,
    "auto-rollback drill": an_auto_rollback,
    "rollback drill": a_rollback,
    "lease-lapse drill": a_lease_lapse,
    "router-restart drill": a_router_restart,
    "data-quality": a_data_check,
    "accuracy": an_accuracy,
    "documentation": documents,
    "test-suite": a_suite,
    "contract": a_contract,
    "external-api drill": an_api_drill,
}


@pytest.fixture(params=KINDS)
def measurement(request: pytest.FixtureRequest, tmp_path: Path) -> Measurement:
    return KINDS[request.param](tmp_path)


def test_every_kind_is_replayed_or_said_not_to_be() -> None:
    named = {name.split(",")[0] for name in KINDS}
    assert set(REPLAYS) == named == set(OBSERVED)
    drills = {name for name in REPLAYS if name.endswith(" drill")}
    assert len(drills) == 5
    assert (REPLAYS.keys() - drills) | NOT_REPLAYED.keys() == RESULTS.keys() - {"drill"}


def test_what_follows_from_the_raw_material_is_replayed(measurement: Measurement, tmp_path: Path) -> None:
    assert replays(measurement, tmp_path)


def test_the_smallest_change_of_any_number_is_found_and_named(measurement: Measurement, tmp_path: Path) -> None:
    assert unseen_changes(measurement, tmp_path) == []


def test_an_outcome_that_does_not_follow_is_found(measurement: Measurement, tmp_path: Path) -> None:
    other: Outcome = "failed" if measurement.outcome == "passed" else "passed"
    problem = replayed(replace(measurement, outcome=other), tmp_path).problem
    assert problem is not None
    assert f"outcome of the record is '{other}'" in problem


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"test-suite"}))  # suites were always recorded whole
def test_an_older_record_without_its_raw_material_is_named_and_is_no_error(kind: str, tmp_path: Path) -> None:
    replay = replayed(replace(KINDS[kind](tmp_path), attachments=[], parameters={}), tmp_path)
    ((_, why),) = replay.not_replayed
    assert (replay.problem, replay.replayed) == (None, {})
    assert why.startswith("made by a version that did not record ")


def test_a_suite_that_rests_on_no_results_is_a_problem(tmp_path: Path) -> None:
    problem = replayed(replace(a_suite(tmp_path), attachments=[]), tmp_path).problem
    assert problem is not None
    assert "no test results are attached" in problem


def test_a_validation_as_it_was_recorded_before_is_no_error(tmp_path: Path) -> None:
    before = [AttachmentContent("validation.json", "application/json", b"[]")]
    replay = replayed(replace(a_data_check(tmp_path), attachments=before), tmp_path)
    assert [why for _, why in replay.not_replayed] == ["made by a version that recorded less in validation.json"]


def test_raw_material_that_cannot_be_read_is_a_problem(measurement: Measurement, tmp_path: Path) -> None:
    damaged = [AttachmentContent(a.name, a.media_type, b"\x00{") for a in measurement.attachments]
    problem = replayed(replace(measurement, attachments=damaged), tmp_path).problem
    assert problem is not None


def test_results_too_large_to_attach_are_not_replayed(tmp_path: Path) -> None:
    suite = replace(a_suite(tmp_path), left_out=[LeftOut("result files not attached", 1, "larger than 64 MB")])
    assert [why for _, why in replayed(suite, tmp_path).not_replayed] == [
        "a file of results was too large to be attached"
    ]


def test_a_kind_that_computes_nothing_is_named_with_the_reason(tmp_path: Path) -> None:
    counts = dict.fromkeys(MonitoringResult.model_fields, 0)
    result = MonitoringResult.model_validate(counts | {"source": "scrape", "details": []})
    replay = replayed(measured(result, "passed", {}), tmp_path)
    assert replay.not_replayed == {("monitoring", NOT_REPLAYED["monitoring"]): 1}


def test_a_drill_of_an_unknown_kind_is_not_replayed(tmp_path: Path) -> None:
    result = DrillResult(drill="flood", steps=[], passed=0, failed=0, recovery_ms=None, requests=0, errors=0)
    replay = replayed(measured(result, "passed", {}), tmp_path)
    assert replay.not_replayed == {("flood drill", "this version knows no way to compute it"): 1}


def test_a_rollout_whose_journal_says_something_else_is_a_problem(tmp_path: Path) -> None:
    rollout = a_good_rollout(tmp_path)
    journal = next(a for a in rollout.attachments if a.name == lived.JOURNAL).content
    for other in (journal.replace(b'"promote"', b'"roll-back"', 1), journal + journal.splitlines()[0]):
        kept = [replace(a, content=other) if a.name == lived.JOURNAL else a for a in rollout.attachments]
        problem = replayed(replace(rollout, attachments=kept), tmp_path).problem
        assert problem is not None
        assert "the journal" in problem


def test_an_exchange_that_no_check_asked_for_is_a_problem(tmp_path: Path) -> None:
    made = a_contract(tmp_path)
    extra = (json.dumps(exchange("/c", 200, {}).record()) + "\n").encode()
    kept = [replace(a, content=a.content + extra) if "exchanges" in a.name else a for a in made.attachments]
    problem = replayed(replace(made, attachments=kept), tmp_path).problem
    assert problem is not None
    assert "4 exchanges were recorded, the checks need 3" in problem


def test_the_documentation_names_what_is_observed_and_what_is_not_replayed() -> None:
    text = LEDGER_DOCUMENT.read_text()
    for kind, fields in OBSERVED.items():
        assert f"| {kind} |" in text
        assert all(f"`{field}`" in text for field in fields)
    assert all(f"| {kind} |" in text and why in text for kind, why in NOT_REPLAYED.items())


_REQUESTS = st.builds(
    RequestSample,
    at_s=st.floats(0, 4e9),
    backend=st.sampled_from(["stable", "canary"]),
    status=st.integers(0, 599),
    latency_ms=st.floats(0, 1e6),
    user_hash=st.text("0123456789abcdef", min_size=1, max_size=16),
    assigned=st.sampled_from(["stable", "canary"]),
)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b"]), st.lists(_REQUESTS, min_size=1, max_size=9)))
def test_requests_are_kept_to_the_last_bit_and_in_their_order(phases: dict[str, list[RequestSample]]) -> None:
    assert read_kept_requests(keep_requests(phases)) == phases
