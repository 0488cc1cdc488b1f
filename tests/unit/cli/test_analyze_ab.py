import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cli.main import run

UNITS = ["--unit", "user", "--arm", "arm"]


@pytest.fixture
def recorded(tmp_path):
    place = np.arange(4000)
    treated = place % 2 == 1
    share = place // 2 % 100 / 100
    table = pd.DataFrame(
        {
            "user": [f"u{n:04}" for n in place],
            "arm": np.where(treated, "phase4", "phase3"),
            "accuracy": (share < np.where(treated, 0.48, 0.42)).astype(int),
            "minutes": place * 37 % 101 / 10 + place * 53 % 17 / 5 + treated,
            "minutes_before": place * 37 % 101 / 10,
            "clicks": place * 29 % 13,
            "views": place * 17 % 7 + 3,
            "failed": (share < 0.01).astype(int),
            "country": np.where(share < 0.5, "NA", "NO"),
        }
    )
    path = tmp_path / "users.csv"
    table.to_csv(path, index=False)
    table.to_parquet(tmp_path / "users.parquet")
    return path


def ab(capsys, *arguments):
    code = run(["analyze", "ab", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_verdict_comes_first_and_everything_else_after_it(recorded, capsys):
    code, out, _ = ab(
        capsys, recorded, *UNITS, "--control", "phase3", "--metric", "accuracy:proportion", "--metric", "minutes:mean",
        "--metric", "failed:proportion", "--decrease", "failed", "--margin", "failed=2pp",
        "--minimum-effect", "accuracy=3pp", "--covariate", "minutes=minutes_before", "--segment", "country",
    )  # fmt: skip
    assert code == 0
    assert out.splitlines()[0] == "BETTER: shown to be better: accuracy, minutes; non-inferior: failed"
    assert "control 42.00%, treatment 48.00%: +6.00pp (+14.3% of the control), 95% interval" in out
    assert "failed (guardrail): non-inferior" in out
    assert "country=NA accuracy" in out
    assert "of the variance away" in out


@pytest.mark.parametrize("second", ["minutes", " minutes"])
def test_two_columns_of_one_name_are_an_error(recorded, capsys, second):
    recorded.write_text(recorded.read_text().replace("clicks", second, 1))
    code, _, err = ab(capsys, recorded, *UNITS, "--control", "phase3", "--metric", "minutes:mean")
    assert (code, err.count("\n")) == (2, 1)
    assert "has two columns 'minutes'" in err


@pytest.mark.parametrize("name", ["users.csv", "users.parquet"])
def test_json_has_effect_interval_corrected_p_and_verdict_of_every_metric(recorded, capsys, name):
    code, out, _ = ab(
        capsys, recorded.with_name(name), *UNITS, "--control", "phase3", "--json",
        "--metric", "accuracy:proportion", "--metric", "ctr:ratio=clicks/views",
    )  # fmt: skip
    result = json.loads(out)
    accuracy, ctr = result["metrics"]
    assert code == 0
    assert result["srm_p_value"] == 1.0
    assert accuracy["effect"] == pytest.approx(0.06)
    assert accuracy["interval"][0] > 0.02
    assert accuracy["adjusted_p"] == pytest.approx(2 * accuracy["p_value"])
    assert (accuracy["verdict"], ctr["verdict"], result["verdict"]) == ("better", "not-proven", "not-proven")
    assert (result["rows"], result["rows_left_out"], result["missing_rows"]) == (4000, 0, {"accuracy": 0, "ctr": 0})


def test_rows_without_a_value_are_counted_and_said(tmp_path, capsys):
    path = tmp_path / "users.csv"
    lines = [f"u{n},{'control' if n % 2 else 'new'},{'NA' if n < 2 else n % 3}" for n in range(200)]
    path.write_text("\n".join(["user,arm,x", *lines, "u900,,1", ",new,1"]))
    _, out, _ = ab(capsys, path, *UNITS, "--metric", "x:mean")
    assert "202, of which 2 name no unit or no arm and were left out" in out
    assert "x: 2 rows without a value" in out


PLAN = Path(__file__).resolve().parents[3] / "releases" / "ion-phase4" / "plan.yaml"


def test_a_plan_says_what_is_analysed_and_that_fewer_users_than_planned_show_nothing(recorded, capsys):
    table = pd.read_csv(recorded, keep_default_na=False)
    for units, verdict in (
        (4000, "BETTER: shown to be better: accuracy"),
        (2000, "NOT-PROVEN: 2,000 of 2,184 planned"),
    ):
        table[:units].to_csv(recorded, index=False)
        _, out, _ = ab(capsys, *UNITS, "--control", "phase3", "--plan", PLAN, recorded)
        assert out.startswith(verdict)


def test_checking_a_plan_tells_how_many_users_its_test_needs(capsys):
    assert run(["plan", "check", str(PLAN)]) == 0
    assert "needs 1,092 units of control and 1,092 of treatment, 3 days" in capsys.readouterr().out
    assert run(["plan", "check", str(PLAN), "--json"]) == 0
    (test,) = json.loads(capsys.readouterr().out)["ab_tests"]
    assert test == {"stage": "ab-test", "control_units": 1092, "treatment_units": 1092, "days": 3}


ROWS = "user,arm,x,word\na,control,1,one\nb,new,2,two\n"


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (ROWS, [], "at least one --metric"),
        (ROWS, ["--metric", "y:mean"], "has no column 'y'; it has user, arm, x, word"),
        (ROWS, ["--metric", "word:mean"], "expected a number, found 'one' in row 1"),
        (ROWS, ["--metric", "x"], "expected NAME:mean"),
        (ROWS, ["--metric", "x:median"], "--metric x: type: Input should be 'mean', 'proportion' or 'ratio'"),
        (ROWS, ["--metric", "x:mean=x/x"], "only a ratio has a denominator"),
        (ROWS, ["--metric", "x:mean", "--metric", "x:mean"], "each NAME once"),
        (ROWS, ["--metric", "x:proportion"], "made of 0 and 1, found 2"),
        (ROWS, ["--metric", "x:mean", "--control", "old"], "there is no arm 'old'"),
        (ROWS, ["--metric", "x:mean", "--margin", "x"], "expected NAME=VALUE"),
        (ROWS, ["--metric", "x:mean", "--margin", "x=much"], "expected a margin such as"),
        (ROWS, ["--metric", "x:mean", "--margin", "z=1"], "there is no --metric z"),
        (ROWS, ["--metric", "x:mean", "--decrease", "z"], "there is no --metric z"),
        (ROWS, ["--metric", "x:mean", "--covariate", "old"], "has no column 'old'"),
        (ROWS, ["--metric", "x:mean", "--segment", "old"], "has no column 'old'"),
        (ROWS, ["--metric", "x:mean", "--share", "half"], "expected a share"),
        (ROWS, ["--metric", "x:mean", "--share", "100%"], "between 0% and 100%"),
        (ROWS, ["--metric", "x:mean", "--correction", "none"], "holm"),
        (ROWS, ["--metric", "x:mean", "--alpha", "0"], "alpha"),
        (ROWS, ["--metric", "x:mean", "--plan", "plan.yaml"], "leave their options out"),
        (ROWS.replace("new", "control"), ["--metric", "x:mean"], "all rows are of one arm, control"),
        (ROWS.replace("b,new", "a,new"), ["--metric", "x:mean"], "unit 'a' is in both arms"),
        (ROWS.replace("2,two", "inf,two"), ["--metric", "x:mean"], "the number in row 2 is infinite"),
        ("user,arm,x\n", ["--metric", "x:mean"], "holds no rows"),
        ("", ["--metric", "x:mean"], "is empty"),
        ("user,arm,x\na,control,1,2,3\n", ["--metric", "x:mean"], "is no table"),
        ("\x00\xff", ["--metric", "x:mean"], "users.csv"),
    ],
)
def test_a_mistake_is_one_line_and_no_verdict(tmp_path, capsys, text, options, said):
    path = tmp_path / "users.csv"
    path.write_text(text, encoding="latin-1")
    code, out, err = ab(capsys, path, *UNITS, *options)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("gonogo: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "text.parquet"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, capsys, name):
    (tmp_path / "text.parquet").write_text("user,arm\n")
    code, _, err = ab(capsys, tmp_path / name, *UNITS, "--metric", "x:mean")
    assert code == 2
    assert err.count("\n") == 1


def test_ids_and_segments_stay_the_texts_that_they_are(tmp_path, capsys):
    """007 is not 7, and NA is Namibia."""
    path = tmp_path / "users.csv"
    lines = [f"{'0' * (n % 3)}{n // 3},{'control' if n % 2 else 'new'},{n % 5},NA" for n in range(300)]
    path.write_text("\n".join(["user,arm,x,country", *lines]))
    _, out, _ = ab(capsys, path, *UNITS, "--metric", "x:mean", "--segment", "country", "--json")
    result = json.loads(out)
    assert result["units"] == 300
    assert {cell["value"] for cell in result["segments"]} == {"NA"}
