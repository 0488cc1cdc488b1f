import json

import numpy as np
import pandas as pd
import pytest

from cli.main import run


def recorded(path, count, *, seed, errors=0.0, times="iso"):
    rng = np.random.default_rng(seed)
    at_s = 1_760_000_000 + np.sort(rng.uniform(0, 3600, count))
    table = pd.DataFrame(
        {
            "latency_ms": rng.lognormal(4, 0.3, count),
            "error": (rng.random(count) < errors).astype(int),
            "user_id": [f"{path.stem}-{n % 400}" for n in range(count)],
        }
    )
    if times == "iso":
        table["timestamp"] = [moment.isoformat() for moment in pd.to_datetime(at_s, unit="s", utc=True)]
    elif times == "epoch":
        table["timestamp"] = at_s
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


def canary(capsys, baseline, candidate, *arguments):
    code = run(["analyze", "canary", "--baseline", str(baseline), "--canary", str(candidate), *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("times", ["iso", "epoch", None])
def test_recorded_requests_are_judged_with_the_keys_that_scripts_rely_on(tmp_path, capsys, suffix, times):
    baseline = recorded(tmp_path / f"stable.{suffix}", 12_000, seed=1, errors=0.001, times=times)
    good = recorded(tmp_path / f"good.{suffix}", 1200, seed=2, times=times)
    bad = recorded(tmp_path / f"bad.{suffix}", 1200, seed=3, errors=0.06, times=times)
    code, out, _ = canary(capsys, baseline, good, "--json")
    judgement = json.loads(out)
    assert code == 0
    assert judgement["verdict"] == "non-inferior"
    assert judgement["needs_requests"] is None
    errors, latency = judgement["metrics"]
    assert (errors["name"], latency["name"]) == ("error-rate", "latency-p95")
    keys = {"name", "baseline", "canary", "difference", "interval", "p_value", "verdict", "first_alarm_at"}
    assert keys <= errors.keys()
    assert errors["interval"][0] < 0 < errors["interval"][1]
    code, out, _ = canary(capsys, baseline, bad)
    assert (code, out.splitlines()[0]) == (0, "HARM")
    assert "harm shown after" in out


def test_one_series_is_judged_in_its_direction(tmp_path, capsys):
    stable, moved = tmp_path / "stable.csv", tmp_path / "moved.csv"
    stable.write_text("cpu\n" + "\n".join(str(10 + n % 5) for n in range(30)))
    moved.write_text("cpu\n" + "\n".join(str(20 + n % 5) for n in range(30)))
    for direction, verdict in (("increase", "harm"), ("decrease", "non-inferior"), ("either", "harm")):
        _, out, _ = canary(capsys, stable, moved, "--values", "cpu", "--direction", direction, "--json")
        judgement = json.loads(out)
        assert judgement["verdict"] == verdict
        assert judgement["metrics"][0]["name"] == "cpu"
        assert judgement["metrics"][0]["difference"] == pytest.approx(10)
    assert (
        json.loads(canary(capsys, stable, moved, "--values", "cpu", "--margin", "12", "--json")[1])["verdict"] != "harm"
    )


@pytest.mark.parametrize("text", ["latency_ms,error\n", "latency_ms,error\n,\n", "latency_ms,error\n10,0\n"])
def test_nothing_to_judge_is_not_proven(tmp_path, capsys, text):
    baseline = recorded(tmp_path / "stable.csv", 500, seed=1, times=None)
    (tmp_path / "new.csv").write_text(text)
    code, out, _ = canary(capsys, baseline, tmp_path / "new.csv", "--json")
    assert (code, json.loads(out)["verdict"]) == (0, "not-proven")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("latency_ms\n10\n", [], "has no column 'error'"),
        ("latency_ms,error\n10,2\n", [], "expected 0 or 1"),
        ("latency_ms,error\n-1,0\n", [], "below zero"),
        ("latency_ms,error\nfast,0\n", [], "expected a number, found 'fast' in row 1"),
        ("latency_ms,error\n10,0\n", [], "only one of"),
        ("latency_ms,error,timestamp\n10,0,yesterday\n", [], "expected ISO 8601 or epoch seconds, found 'yesterday'"),
        ("latency_ms,error\n10,0\n", ["--direction", "increase"], "need --values"),
        ("latency_ms,error\n10,0\n", ["--values", "cpu"], "has no column 'cpu'"),
        ("latency_ms,error\n10,0\n", ["--values", "latency_ms", "--direction", "up"], "direction"),
        ("latency_ms,error,timestamp\n10,0,1\n", ["--values", "latency_ms", "--margin", "x"], "expected a margin"),
        ("", [], "is empty"),
    ],
)
def test_a_mistake_is_one_line_and_no_verdict(tmp_path, capsys, text, options, said):
    baseline = recorded(tmp_path / "stable.csv", 50, seed=1)
    (tmp_path / "new.csv").write_text(text)
    code, out, err = canary(capsys, baseline, tmp_path / "new.csv", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("gonogo: ")
    assert err.count("\n") == 1
