from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from decision.collect import SoakCollect
from decision.inputs import signers_of
from decision.plan_file import PlanError, check_users, read_plan
from evidence.allowed_signers import line_of
from evidence.keys import public_text
from processes.errors import UsageError
from tests.unit.decision.factories import PLAN


def test_a_valid_plan_is_read(plan_path: Path) -> None:
    plan_file = read_plan(plan_path)
    assert plan_file.plan.claim("memory").criteria["hours_under_load"].at_least == 72
    assert plan_file.resolve(Path("x")) == plan_path.parent / "x"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("share: 100%", "share: 90%", ":36: rollout.stages: the last stage must have a share of 100%"),
        ("max_age: 24h", "max_age: 24 hours", "claims.0.max_age: expected a duration"),
        ("title: Shop 2\n", "", "title: is missing"),
        ("title: Shop 2", "titel: Shop 2", "plan.yaml:3: titel: is not a key"),
        ("needs: tests", "needs: test", ":20: claims.0.needs: collect has no 'test'; it has tests, documents, soak"),
        ("failed: {equals: 0}", "fails: {equals: 0}", "claims.0.criteria: test-suite evidence has no field 'fails'"),
        ("claims: [works, written]", "claims: [works, writen]", "summary.0.claims: there is no claim 'writen'"),
        ("kind: soak, users", "kind: soke, users", "collect.soak"),
        ("kind: soak, users", "kind: soak, control: candidate, users", "the control of candidate cannot be candidate"),
        ("kind: soak, users", "kind: soak, resources: guess, users", "collect.soak"),
        ("kind: soak, users", "kind: soak, coverage_at_least: 101%, users", "expected a share"),
        (
            "promote_at_most: 0.5%, ",
            "",
            ":18: collect.soak: no errors would fail this soak: expected error-rate with promote_at_most in slo",
        ),
        ("rate: 50/s", "rate: 1000000/s", ":18: collect.soak: expected at most 10,000/s from one process"),
        ("version: 1\n", "version: 1\nversion: 1\n", ":2: "),
        ("gates: [full]}", "gates: [everything]}", "claims.2.gates.0"),
        ("{name: Ada, signers", "{name: Ada, machine: true, signers", "never counts as an approver"),
        ("{name: Ada, signers: ada.allowed}", "{name: Ada}", "can never sign"),
        ("python -m http.server {port}", "python -m http.server", "expected {port}"),
        ("2026-01-12T12:00Z", "2026-01-12T12:00", "expected a time with its zone"),
    ],
)
def test_a_wrong_plan_names_the_place_and_what_was_expected(plan_path: Path, old: str, new: str, expected: str) -> None:
    assert old in PLAN
    plan_path.write_text(PLAN.replace(old, new))
    with pytest.raises(PlanError) as caught:
        read_plan(plan_path)
    assert expected in str(caught.value)
    assert str(plan_path) in str(caught.value)


@pytest.mark.parametrize(
    ("said", "control"),
    [("", "stable"), (", control: stable", "stable"), (", control: none", None), (", target: stable", None)],
)
def test_a_candidate_is_soaked_beside_stable_unless_the_plan_says_otherwise(
    plan_path: Path, said: str, control: str | None
) -> None:
    plan_path.write_text(PLAN.replace("kind: soak", f"kind: soak{said}"))
    collect = read_plan(plan_path).plan.collect["soak"]
    assert isinstance(collect, SoakCollect)
    assert collect.beside == control


def test_users_whose_file_does_not_exist_are_named_with_their_line(plan_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        check_users(read_plan(plan_path), plan_path)
    assert str(caught.value) == f"{plan_path}:18: collect.soak.users: there is no file users.py"
    (plan_path.parent / "users.py").touch()
    check_users(read_plan(plan_path), plan_path)


_BECAME = (
    "plan.yaml:41: previous_report.statements.0: expected exactly one of claims, derived and dropped, and not empty"
)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("{lines: 22, says: All of it}", _BECAME),
        ("{lines: 22, says: All of it, claims: []}", _BECAME),
        ("{lines: 22, says: All of it, dropped: ' '}", _BECAME),
        ("{lines: 22, says: All of it, claims: [works], dropped: no}", _BECAME),
        ("{lines: 22, says: All of it, derived: the risk, dropped: no}", _BECAME),
        (
            "{lines: 22, says: It, claims: [works, wroks]}",
            "plan.yaml:41: previous_report.statements.0.claims: there is no claim",
        ),
        (
            "{lines: p. 22, says: It, claims: [works]}",
            "plan.yaml:41: previous_report.statements.0.lines: expected lines such as 22",
        ),
        ("{lines: 22, claims: [works]}", "statements.0.says: is missing"),
    ],
)
def test_a_statement_of_the_previous_report_became_exactly_one_thing(
    plan_path: Path, statement: str, expected: str
) -> None:
    plan_path.write_text(f"{PLAN}previous_report:\n  title: Old\n  statements:\n    - {statement}\n")
    with pytest.raises(PlanError) as caught:
        read_plan(plan_path)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_previous_report_without_statements_is_an_error(plan_path: Path) -> None:
    plan_path.write_text(f"{PLAN}previous_report: {{title: Old, statements: []}}\n")
    with pytest.raises(PlanError, match="previous_report: expected at least one statement"):
        read_plan(plan_path)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"a: [", b"\xff\xfe", b"a: &x [*x]"])
def test_what_is_no_plan_at_all_is_one_clear_error(plan_path: Path, content: bytes) -> None:
    plan_path.write_bytes(content)
    with pytest.raises(PlanError, match=r"plan\.yaml"):
        read_plan(plan_path)


def test_a_time_with_seconds_keeps_its_zone(plan_path: Path) -> None:
    plan_path.write_text(PLAN.replace('"2026-01-12T12:00Z"', "2026-01-12T12:00:00Z"))
    deploy = read_plan(plan_path).plan.schedule.deploy
    assert deploy.isoformat() == "2026-01-12T12:00:00+00:00"


def test_a_missing_plan_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        read_plan(tmp_path / "none.yaml")


ALIASES = "&a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in ("ab", "bc", "cd", "de")
)


@pytest.mark.parametrize(
    "value",
    ["2020-13-45", "1" * 5000, "[" * 3000, ALIASES],
    ids=["no date", "a long number", "deep", "aliases of aliases"],
)
def test_a_plan_made_to_break_its_reader_is_refused_in_a_line(tmp_path: Path, value: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(f"version: {value}\n")
    with pytest.raises(PlanError):
        read_plan(path)


@pytest.mark.parametrize("age", [".inf", "99999999999d", "-1.0"])
def test_a_time_beyond_all_measure_is_refused(tmp_path: Path, age: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.replace("max_age: 24h", f"max_age: {age}"))
    with pytest.raises(PlanError, match="duration"):
        read_plan(path)


def test_a_key_that_two_people_share_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.replace("{name: Grace}", "{name: Grace, signers: grace.allowed}"))
    key = public_text(Ed25519PrivateKey.generate().public_key())
    for name in ("ada", "grace"):
        (tmp_path / f"{name}.allowed").write_text(line_of([name], key))
    with pytest.raises(UsageError, match="Ada and Grace share a key"):
        signers_of(read_plan(path))
