"""Outcomes of users in SQL and over HTTP: measured where they can be, kept within limits, compared by arms."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from engines.conversation.database import open_database
from engines.experiments import outcomes as outcomes_module
from engines.experiments.metrics import METRICS
from engines.experiments.outcomes import Outcomes, rows
from engines.switches import Arm
from tests.engines.conftest import serving

pytestmark = pytest.mark.phase4

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
RECORD, OUTCOMES = "/api/v2/experiments/record", "/api/v2/experiments/outcomes"


@pytest.fixture
def outcomes(new_database):
    engine = open_database(new_database())
    yield Outcomes(engine)
    engine.dispose()


def test_an_outcome_is_kept_once_for_each_source(outcomes):
    assert outcomes.record("accuracy", "u", 1.0, None, "r1") is not None
    assert outcomes.record("accuracy", "u", 1.0, None, "r1") is None
    assert outcomes.record("return_rate", "u", 1.0, None, "r1") is not None
    assert outcomes.counts() == {"accuracy": 1, "return_rate": 1}
    assert outcomes.remove_all() == 2
    assert outcomes.counts() == {}


def test_of_each_user_the_first_outcome_since_the_beginning_counts(outcomes):
    outcomes.record("accuracy", "u1", 0.0, Arm.CONTROL, "before")
    began = datetime.now(UTC)
    for number, (user, value, arm) in enumerate(
        [
            ("u1", 1.0, Arm.CONTROL),
            ("u1", 0.0, Arm.CONTROL),
            ("u2", 0.0, Arm.CONTROL),
            ("u3", 1.0, Arm.TREATMENT),
            ("u4", 1.0, None),
        ]
    ):
        outcomes.record("accuracy", user, value, arm, str(number))
    groups = outcomes.groups("accuracy", began)
    assert (groups[Arm.CONTROL].users, groups[Arm.CONTROL].mean) == (2, 0.5)
    assert groups[Arm.CONTROL].squares == pytest.approx(0.5)
    assert (groups[Arm.TREATMENT].users, groups[Arm.TREATMENT].mean) == (1, 1.0)
    assert outcomes.groups("return_rate", began)[Arm.CONTROL].users == 0


def test_pages_follow_each_other_without_a_gap(outcomes):
    for number in range(7):
        outcomes.record("session_duration", f"u{number}", number / 2, None, str(number))
    found, page = [], outcomes.page(LONG_AGO, None, 3)
    while page:
        found += page
        page = outcomes.page(LONG_AGO, page[-1], 3)
    assert [one.user_id for one in found] == [f"u{number}" for number in range(7)]
    assert outcomes.page(found[4].at, None, 10) == found[4:], "since is inclusive"
    assert outcomes.page(found[-1].at + timedelta(seconds=1), None, 10) == []
    assert list(rows(found[:2], METRICS))[1][1:] == ("u1", "", "", "", "0.5", "", "")


def test_outcomes_are_bounded_by_number_and_age(outcomes, monkeypatch):
    for number in range(6):
        outcomes.record("accuracy", f"u{number}", 1.0, None, str(number))
    monkeypatch.setattr(outcomes_module, "MOST_KEPT", 4)
    assert outcomes.forget() == 2
    assert [one.user_id for one in outcomes.page(LONG_AGO, None, 10)] == ["u2", "u3", "u4", "u5"]
    monkeypatch.setattr(outcomes_module, "KEPT", timedelta(0))
    assert outcomes.forget() == 4


def feedback(client, user, rating, query="hello"):
    made = client.post("/api/v2/recommend/personalized", json={"user_id": user, "query": query}).json()
    body = {"user_id": user, "recommendation_id": made["recommendation_id"], "rating": rating}
    answer = client.post("/api/v2/recommend/feedback", json=body)
    assert answer.status_code == 200
    assert client.post("/api/v2/recommend/feedback", json=body).status_code == 200  # once more: nothing new
    return made


def exported(client, **params):
    answer = client.get(OUTCOMES, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture(params=["phase3", "phase4"])
def client(request, new_database):
    with serving(request.param, ION_DATABASE_URL=new_database()) as client:
        yield client


def test_accuracy_is_measured_by_feedback_in_both_releases_and_nobody_can_tell_it(client):
    feedback(client, "happy", 0.9)
    feedback(client, "=unhappy, very", -0.5)
    first, second = exported(client)
    assert list(first) == ["at", "user_id", *METRICS]
    assert (first["user_id"], first["accuracy"]) == ("happy", "1")
    assert (second["user_id"], second["accuracy"]) == ("=unhappy, very", "0")
    assert second["user_satisfaction"] == ""
    told = client.post(RECORD, json={"user_id": "u", "metric_name": "accuracy", "value": 1})
    assert told.status_code == 422


def test_outcomes_are_read_on_from_a_time(client):
    for number in range(5):
        body = {"user_id": f"u{number}", "metric_name": "session_duration", "value": number}
        assert client.post(RECORD, json=body).status_code == 200
    everything = exported(client)
    assert [row["user_id"] for row in everything] == [f"u{number}" for number in range(5)]
    page = exported(client, limit=2)
    assert page == everything[:2]
    assert exported(client, since=page[-1]["at"], limit=10) == everything[1:], "since is inclusive"
    assert exported(client, since="2999-01-01T00:00:00Z") == []
    for wrong in ("yesterday", "2025-13-01T00:00:00Z", "0.5", "0001-01-01T00:00:00+14:00"):
        assert client.get(OUTCOMES, params={"since": wrong}).status_code == 422


def test_more_outcomes_than_are_read_at_once_come_in_one_answer(tmp_path):
    url = f"sqlite:///{tmp_path}/ion.sqlite"
    engine = open_database(url)
    store = Outcomes(engine)
    with engine.begin() as connection:
        connection.execute(
            outcomes_module._outcomes.insert(),
            [
                {"metric": "return_rate", "user_id": f"u{n}", "value": 1.0, "source": str(n), "at": datetime.now(UTC)}
                for n in range(2500)
            ],
        )
    engine.dispose()
    assert store.counts() == {"return_rate": 2500}
    with serving("phase3", ION_DATABASE_URL=url) as client:
        assert [row["user_id"] for row in exported(client)] == [f"u{n}" for n in range(2500)]
        assert len(exported(client, limit=1500)) == 1500


@pytest.mark.parametrize(
    ("metric", "value", "status"),
    [
        ("user_satisfaction", 5, 200),
        ("user_satisfaction", 0, 422),
        ("return_rate", 0.5, 422),
        ("return_rate", True, 422),
        ("session_duration", 1441, 422),
        ("no_such_metric", 1, 422),
    ],
)
def test_an_outcome_has_to_be_one_that_its_metric_can_have(phase4, metric, value, status):
    body = {"user_id": "teller", "metric_name": metric, "value": value, "metadata": {"a": 1}}
    answer = phase4.post(RECORD, json=body)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["metadata"] == {"user_provided_metadata": {"a": 1}}
        assert answer.json()["arm"] is None


def test_nobody_tells_an_outcome_of_another_user(phase4):
    body = {"user_id": "me", "metric_name": "return_rate", "value": 1}
    assert phase4.post(RECORD, json=body, headers={"X-User-Id": "you"}).status_code == 403
    assert phase4.post(RECORD, json=body, headers={"X-User-Id": "me"}).status_code == 200


def test_the_list_of_metrics_is_not_taken_for_a_metric(phase4):
    listed = phase4.get("/api/v2/experiments/metrics/list").json()["metrics"]
    assert [metric["name"] for metric in listed] == list(METRICS)
    assert [metric["name"] for metric in listed if metric["measured"]] == ["accuracy"]
    unknown = phase4.get("/api/v2/experiments/metrics/no-such-metric")
    assert unknown.status_code == 404


def test_phase_3_has_nothing_to_compare(phase3):
    assert phase3.post("/api/v2/experiments/start").status_code == 409
    assert phase3.get("/api/v2/experiments/analysis").status_code == 409
    assert phase3.get("/api/v2/experiments/configuration").json()["running"] is False


def test_an_experiment_answers_half_of_the_users_by_the_router_and_compares_them(new_database):
    with serving("phase4", ION_DATABASE_URL=new_database()) as client:
        for path in ("analysis", "report", "metrics/accuracy"):
            answer = client.get(f"/api/v2/experiments/{path}")
            assert (answer.status_code, answer.json()["detail"]) == (409, "no experiment runs")
        started = client.post("/api/v2/experiments/start").json()
        assert started["running"]
        assert client.post("/api/v2/experiments/start").status_code == 409
        assert client.get("/api/v2/experiments/metrics/accuracy").status_code == 409, "no users yet"

        groups = {"control": set(), "treatment": set()}
        for number in range(160):
            user = f"user-{number:05d}"
            body = {"user_id": user, "query": "hello"}
            metadata = client.post("/api/v2/recommend/personalized", json=body).json()["metadata"]
            by = "router" if metadata["ab_group"] == "control" else "ensemble"
            assert (metadata["model_version"] == "router_v1") == (by == "router")
            groups[metadata["ab_group"]].add(user)
            feedback(client, user, 0.9 if by == "ensemble" or number % 3 else -0.9)
        assert min(map(len, groups.values())) > 50

        found = client.get("/api/v2/experiments/metrics/accuracy").json()
        assert found["control"]["users"] == len(groups["control"])
        assert found["treatment"]["mean"] == 1.0
        assert found["difference"] > 0
        assert found["interval"][0] < found["difference"] < found["interval"][1]
        assert found["significant"]
        analysis = client.get("/api/v2/experiments/analysis").json()
        assert [one["metric"] for one in analysis["metrics"]] == ["accuracy"]
        assert set(analysis["missing"]) == set(METRICS) - {"accuracy"}
        report = client.get("/api/v2/experiments/report").json()
        assert (report["verdict"], report["has_planned_users"]) == ("hold", False)
        assert report["text"][0].startswith("accuracy: +0.")
        assert client.get("/api/v2/experiments/status").json()["outcomes"]["accuracy"] == 160

        assert client.post("/api/v2/experiments/metrics/reset").json() == {"forgotten": 160}
        assert client.get("/api/v2/experiments/status").json()["outcomes"] == {}
        assert client.post("/api/v2/experiments/stop").json()["running"] is False
        body = {"user_id": min(groups["control"]), "query": "hello"}
        metadata = client.post("/api/v2/recommend/personalized", json=body).json()["metadata"]
        assert metadata["ab_group"] is None
        assert metadata["model_version"] != "router_v1"
