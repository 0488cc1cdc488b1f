"""Outcomes of users: read strictly, from a file or a server, and joined to who was seen."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.ab_metrics import Outcomes
from decision.objectives import Stage
from processes.errors import InputError
from rollouts.ab_test import join, planned_units
from rollouts.assignment import user_hash
from rollouts.outcomes import fetch_outcomes, read_outcomes

STAGE = Stage.model_validate(
    {
        "name": "ab-test",
        "share": "50%",
        "metrics": {
            "minutes": {"type": "mean", "covariate": "before", "baseline": 10, "expected": 11, "deviation": 5},
            "failed": {"type": "proportion", "role": "guardrail", "direction": "decrease", "margin": "1pp"},
            "views": {"type": "mean", "role": "secondary"},
        },
        "analysis": {"segments": ["country"]},
        "outcomes": {"from": "outcomes.csv", "time": "at"},
    }
)
HEADER = "user_id,at,minutes,before,failed,views,country\n"
OUTCOMES = Outcomes.model_validate({"from": "outcomes.csv", "time": "at"})


def rows_of(*lines: str):
    return read_outcomes((HEADER + "".join(f"{line}\n" for line in lines)).encode(), OUTCOMES, STAGE)


def test_columns_are_found_by_name_and_empty_fields_are_missing():
    rows = rows_of("ada,2026-01-12T14:00:00Z,1.5,,0,,NO", "ödön,1768226400,,2,1,7,")
    assert list(rows.users) == ["ada", "ödön"]
    assert rows.at_s is not None
    assert rows.at_s[0] == rows.at_s[1] == 1768226400
    np.testing.assert_array_equal(rows.numbers["minutes"], [1.5, np.nan])
    np.testing.assert_array_equal(rows.numbers["before"], [np.nan, 2])
    assert list(rows.segments["country"]) == ["NO", ""]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ada,2026-01-12T14:00:00,1,,0,,NO", "line 2: the time 2026-01-12T14:00:00 has no zone"),
        ("ada,,1,,0,,NO", "line 2: expected a time"),
        ("ada,nan,1,,0,,NO", "line 2: expected a time"),
        ("ada,0,inf,,0,,NO", "line 2: column minutes: expected a number, or nothing, and found 'inf'"),
        ("ada,0,1,ten,0,,NO", "line 2: column before"),
        ("ada,0,1,,0,,NO,more", "line 2 has 8 fields, expected 7"),
        ('ada,0,"1,,0,,NO', "is no CSV"),
    ],
)
def test_what_is_doubtful_is_an_error(line, why):
    with pytest.raises(InputError, match=why.replace("(", r"\(")):
        rows_of(line)


@given(st.integers(min_value=1, max_value=200))
def test_half_a_file_is_never_taken_for_all_of_it_unless_it_ends_with_a_line(cut):
    content = (HEADER + "ada,0,1,2,0,3,NO\n" * 5).encode()
    part = content[:cut]
    if part.endswith(b"\n") and part != content[: len(HEADER)]:
        assert len(read_outcomes(part, OUTCOMES, STAGE).users) == part.count(b"\n") - 1
    elif part != content:
        with pytest.raises(InputError):
            read_outcomes(part, OUTCOMES, STAGE)


def test_a_column_that_is_named_twice_is_an_error():
    with pytest.raises(InputError, match="has 2 column 'minutes'"):
        read_outcomes((HEADER.strip() + ",minutes\nada,0,1,,0,,NO,2\n").encode(), OUTCOMES, STAGE)


def test_rows_are_joined_to_those_who_were_seen_and_what_is_left_out_is_counted():
    rows = rows_of(
        "ada,200,1,5,0,1,NO", "ada,300,2,5,0,1,NO", "bob,50,9,5,1,1,SE", "eve,200,3,,1,,SE", "ida,200,4,5,0,1,NO",
        ",200,4,5,0,1,NO",
    )  # fmt: skip
    seen = [(user_hash("ada"), "canary"), (user_hash("bob"), "stable"), (user_hash("eve"), "stable")]
    joined = join(rows, [*seen, (user_hash("zoe"), "canary")], 100.0, STAGE)
    arms = dict(zip(joined.rows.units, joined.rows.arms, strict=True))
    assert arms == {user_hash(u): arm for u, arm in (("ada", "canary"), ("bob", "stable"), ("eve", "stable"))} | {
        user_hash("zoe"): "canary"
    }
    assert [(one.count, one.why) for one in joined.left_out] == [
        (1, "name no user"),
        (1, "of users who were not seen in the stage"),
        (1, "from before the stage"),
    ]
    assert joined.enough == 2  # ada and eve: bob's only outcome is from before, zoe has none
    assert np.isnan(joined.rows.numbers["minutes"][joined.rows.units == user_hash("bob")]).all()


def test_the_arm_is_never_the_one_that_the_outcomes_name():
    header = HEADER.replace("country", "country,arm")
    content = header + "".join(f"{user},200,1,5,0,1,NO,control\n" for user in ("ada", "eve"))
    rows = read_outcomes(content.encode(), OUTCOMES, STAGE)
    joined = join(rows, [(user_hash("ada"), "canary"), (user_hash("eve"), "stable")], 0.0, STAGE)
    assert sorted(joined.rows.arms) == ["canary", "stable"]


def test_a_user_of_both_arms_and_a_file_of_strangers_are_errors():
    rows = rows_of("ada,200,1,5,0,1,NO")
    with pytest.raises(InputError, match="assigned to both versions"):
        join(rows, [(user_hash("ada"), "canary"), (user_hash("ada"), "stable")], 0.0, STAGE)
    with pytest.raises(InputError, match="names no user whom the request log saw"):
        join(rows, [(user_hash("eve"), "canary"), (user_hash("bob"), "stable")], 0.0, STAGE)


def test_the_planned_size_is_that_of_both_arms():
    assert planned_units(STAGE) == 788


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
        elif self.path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(HEADER.encode())
        elif self.headers.get("Authorization") != "Bearer s3cret":
            self.send_error(401)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(HEADER.encode())

    def log_message(self, format, *args):
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_server_is_asked_with_the_key_that_stands_in_a_file(url, tmp_path):
    (tmp_path / "key").write_text("s3cret\n")
    asked = Outcomes.model_validate({"from": f"{url}/whole", "token_file": "key"})
    assert fetch_outcomes(asked, tmp_path, 10.0) == HEADER.encode()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", "answered 404"),
        ("/whole", "answered 401"),
        ("/moved", "answered 302"),
        ("/half", "cannot be read: .*without sending complete"),
    ],
)
def test_an_answer_that_is_not_all_of_it_is_an_error(url, tmp_path, path, why):
    with pytest.raises(InputError, match=why):
        fetch_outcomes(Outcomes.model_validate({"from": url + path}), tmp_path, 10.0)


def test_what_is_not_there_is_an_error(tmp_path):
    for source, why in (("outcomes.csv", "No such file"), ("http://127.0.0.1:1/", "refused")):
        with pytest.raises(InputError, match=f"cannot be read: .*{why}"):
            fetch_outcomes(Outcomes.model_validate({"from": source}), tmp_path, 10.0)
    (tmp_path / "outcomes.csv").write_text(HEADER)
    assert fetch_outcomes(Outcomes.model_validate({"from": "outcomes.csv"}), tmp_path, 10.0) == HEADER.encode()
    asked = Outcomes.model_validate({"from": "http://127.0.0.1:1/", "token_file": "no-key"})
    with pytest.raises(InputError, match="No such file"):
        fetch_outcomes(asked, tmp_path, 10.0)


def test_a_plan_holds_no_key():
    for source, more in (("http://a:b@c/", {}), ("ftp://c/a.csv", {}), ("a.csv", {"token_file": "key"})):
        with pytest.raises(ValueError, match=r"token_file|http://"):
            Outcomes.model_validate({"from": source, **more})
