"""Real commands, in a subprocess."""

import json
from pathlib import Path

import pytest

from collectors.accuracy import run_accuracy
from processes.errors import CollectError, ProcessError
from tests.unit.flows.replaying import replays

ROOT = Path(__file__).resolve().parents[2]


def run(tmp_path, command, *, candidate="phase4", timeout_s=60.0):
    return run_accuracy(
        command, candidate=candidate, baseline="phase3", cwd=ROOT, work_dir=tmp_path, timeout_s=timeout_s
    )


def writing(rows):
    text = json.dumps("unit,phase3,phase4\n" + "".join(f"{row}\n" for row in rows))
    return f"python -c 'import sys; open(sys.argv[1], \"w\").write({text})' {{output}}"


def test_phase_4_beats_phase_3_on_interactions_held_out_and_says_by_how_much(tmp_path):
    measured = run(tmp_path, "python -m engines.accuracy --right best --output {output}")
    result = measured.result
    assert measured.outcome == "passed"
    assert (result.cases, result.level) == (3600, 0.95)
    assert {method.method for method in result.methods} == {"random", "popularity", "phase3", "phase4"}
    assert result.gain >= 0.03
    assert result.gain_low > 0
    assert "phase4 +34.5 points on phase3" in measured.summary
    assert replays(measured, tmp_path)


def test_a_candidate_that_is_no_better_fails(tmp_path):
    measured = run(tmp_path, "python -m engines.accuracy --output {output}", candidate="random")
    assert measured.outcome == "failed"
    assert measured.result.gain < 0


def test_units_that_are_too_few_show_nothing(tmp_path):
    assert run(tmp_path, writing(["u1,0,1", "u1,0,1"])).outcome == "inconclusive"
    assert run(tmp_path, writing([])).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("python -c pass {output}", "ended with 0"),
        ("python -c 'import sys; print(5); sys.exit(3)' {output}", "ended with 3; its last output:\n5"),
        (writing(["u1,0,maybe"]), "row 2"),
        ("python -m engines.accuracy --output outcomes.csv", "names {output}"),
    ],
)
def test_a_command_that_does_not_do_its_work_is_an_error(tmp_path, command, why):
    with pytest.raises(CollectError, match=why):
        run(tmp_path, command)


def test_a_command_that_does_not_end_is_an_error(tmp_path):
    with pytest.raises(ProcessError, match="still runs"):
        run(tmp_path, "python -c 'import time; time.sleep(60)' {output}", timeout_s=0.5)
