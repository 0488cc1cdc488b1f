"""Where a soak stands, whoever looks and whenever."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from decision.criteria import Criterion, evaluate
from decision.objectives import Objective
from loadtests.load import Limits
from loadtests.samples import Sample
from loadtests.soak_folder import Material
from loadtests.soak_limits import broken_resource, crash_loop, wears_out
from loadtests.soak_night import read_night
from loadtests.soak_nights import EarlierNights
from loadtests.soak_result import Soaking, outcome_of, result_of
from loadtests.soak_status import status_lines, status_of
from processes.clocks import Clocks
from processes.lock import Holder
from processes.resources import Resources
from tests.unit.loadtests.soaks import Machine

SOAKING = Soaking("candidate", None, 1.0, 512e6, 0.05, 0.95)
HOLDER = Holder(12, datetime(2026, 1, 10, tzinfo=UTC))


def material(machine: Machine, samples=()) -> Material:
    """What the machine's soak would have left in its folder."""
    names = {"started_at_s": "started_at", "finished_at_s": "finished_at"}
    renamed = [
        (s.number, {names.get(k, k): v for k, v in vars(w).items()}) for s in machine.segments for w in s.windows
    ]
    windows = [{"segment": number} | entry for number, entry in renamed]
    journal = [{"event": e.event, **asdict(e.clocks), **e.detail} for e in machine.entries]
    lines = ["".join(json.dumps(entry) + "\n" for entry in entries).encode() for entries in (windows, samples, journal)]
    return Material(windows=lines[0], control_windows=b"", samples=lines[1], journal=lines[2], damaged=0)


def seen(material: Material, soaking: Soaking):
    """The result of a soak of one night."""
    return result_of([read_night(material)], soaking)


def now(machine: Machine) -> Clocks:
    return Clocks(f"boot {machine.boots}", machine.wall_s, machine.boot_s, machine.monotonic_s)


@pytest.fixture
def machine():
    made = Machine()
    made.begin_runner()
    return made


def test_a_running_soak_says_when_its_answer_is_expected(machine):
    for _ in range(10):
        machine.load(18)  # 180 s
        machine.pass_by(9)
    status = status_of(material(machine), SOAKING, HOLDER, now(machine))
    assert status.state == "running"
    assert status.needed_hours == pytest.approx(0.5)
    # Each 180 s under load took 189 s, less one pause that has not been seen to end.
    assert status.takes_hours == pytest.approx(0.5 * (1 + 81 / 1800))
    expected_s = machine.wall_s + status.takes_hours * 3600
    assert status.expected_at.timestamp() == pytest.approx(expected_s)
    assert any("expected at" in line for line in status_lines(status))


def test_interruptions_make_the_answer_no_later_than_the_soak_itself_does(machine):
    machine.load(180, ended=True)
    machine.log("runner-ended", why="stopped by a person")
    machine.pass_by(86400)
    machine.begin_runner()
    machine.load(1)
    status = status_of(material(machine), SOAKING, HOLDER, now(machine))
    assert status.takes_hours == pytest.approx(status.needed_hours)


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda machine: machine.pass_by(60), "its runner was killed"),
        (lambda machine: machine.restart(60), "the machine was restarted"),
        (lambda machine: machine.log("runner-ended", why="stopped by a person"), "stopped by a person"),
    ],
)
def test_a_soak_that_nobody_runs_says_why(machine, happens, why):
    machine.load(18)
    happens(machine)
    status = status_of(material(machine), SOAKING, None, now(machine))
    assert (status.state, status.expected_at) == ("interrupted", None)
    assert status.why.startswith(why)
    assert any("after it is resumed" in line for line in status_lines(status))


def test_a_soak_that_ended_needs_nothing_more(machine):
    machine.load(18)
    machine.log("soak-ended", how="stopped", why="ended for good by ada")
    status = status_of(material(machine), SOAKING, None, now(machine))
    assert (status.state, status.needed_hours) == ("finished, not recorded", 0)
    assert "ended for good by ada" in "\n".join(status_lines(status))


def test_a_soak_without_a_window_has_a_status(machine):
    status = status_of(material(machine), SOAKING, HOLDER, now(machine))
    assert status.result is None
    assert "nothing yet" in "\n".join(status_lines(status))


def reading(at_s, *, rss=1e8, cpu_s=0.0, created_at_s=1.0):
    resources = Resources(1, created_at_s, int(rss), cpu_s, 3, 3, 3)
    return Sample(at_s, resources, None)


def flat_samples(count, step_s, began_s):
    wobble = (0, 3e5, 1e5, 2e5)
    return [asdict(reading(began_s + n * step_s, rss=2e8 + wobble[n % 4])) for n in range(count)]


def test_below_the_plans_coverage_no_trend_is_proven(machine):
    machine.load(540)
    machine.log("runner-ended", why="stopped by a person")
    machine.pass_by(5400)
    machine.begin_runner()
    machine.load(540)
    samples = flat_samples(1000, 16, machine.segments[0].windows[0].started_at_s)
    enough = seen(material(machine, samples), replace(SOAKING, coverage_at_least=0.6))
    assert enough.coverage == pytest.approx(10_800 / 16_200)
    assert not enough.trend.why.startswith("coverage")  # but three hours clear nothing, however well they are covered
    short = seen(material(machine, samples), SOAKING)
    assert (short.verdict, short.trend.verdict) == ("not-proven", "not-proven")
    assert "coverage 66.7% is below 95%" in short.trend.why


def test_the_longest_life_is_that_of_one_process(machine):
    machine.load(60)
    began_s = machine.segments[0].windows[0].started_at_s
    samples = [asdict(reading(began_s + 10 * n, created_at_s=1.0 if n < 20 else 2.0)) for n in range(60)]
    result = seen(material(machine, samples), SOAKING)
    assert result.longest_life_hours == pytest.approx(390 / 3600)
    assert (result.target_restarts, result.target_deaths) == (1, 0)


@pytest.mark.parametrize(
    ("how", "deaths", "outcome"),
    [("complete", 0, "passed"), ("complete", 1, "failed"), ("aborted", 0, "failed"), ("crash-loop", 3, "failed"),
     ("stopped", 0, "inconclusive"), ("stopped", 2, "failed")],
)  # fmt: skip
def test_the_outcome_follows_from_how_it_ended_and_the_deaths(machine, how, deaths, outcome):
    machine.load(6)
    for _ in range(deaths):
        machine.log("target-ended", role="target")
    machine.log("soak-ended", how=how, why="so")
    result = seen(material(machine), SOAKING)
    assert outcome_of(result, ["so"], Limits(None, None), EarlierNights())[0] == outcome


def test_an_earlier_night_that_was_stopped_leaves_the_outcome_to_the_last(machine):
    machine.load(6)
    machine.log("soak-ended", how="stopped", why="not finished when the next night began")
    earlier = read_night(material(machine), "a" * 64)
    later = Machine()
    later.begin_runner()
    later.pass_by(86400)
    later.load(6)
    later.log("soak-ended", how="complete", why="so")
    result = result_of([earlier, read_night(material(later))], SOAKING)
    assert outcome_of(result, ["not finished", "so"], Limits(None, None), EarlierNights())[0] == "passed"


def test_memory_above_its_limit_is_seen_as_what_it_is(machine):
    machine.load(6)
    samples = [asdict(reading(machine.segments[0].windows[0].started_at_s + n, rss=7.68e8)) for n in range(3)]
    result = seen(material(machine, samples), SOAKING)
    assert result.memory_ratio == 1.5
    assert evaluate("memory_ratio", Criterion.model_validate({"at_most": "100%"}), result).holds == "no"


SLO = {
    "memory": Objective.model_validate({"unit": "ratio", "roll_back_above": 0.85, "for": "3 windows"}),
    "cpu": Objective.model_validate({"unit": "ratio", "roll_back_above": 0.9, "for": "2 windows"}),
}


def test_memory_above_its_limit_in_a_row_is_broken():
    samples = [reading(n, rss=9e8) for n in range(3)]
    assert "memory was 0.9" in broken_resource(samples, SLO, 1e9)
    assert broken_resource(samples[:2], SLO, 1e9) is None
    assert broken_resource([*samples[:2], reading(2), *samples[:2]], SLO, 1e9) is None


def test_a_missing_sample_is_neither_above_nor_below():
    samples = [reading(0, rss=9e8), Sample(1, None, None), reading(2, rss=9e8)]
    assert broken_resource(samples, SLO, 1e9) is None


def test_cpu_is_counted_within_one_life():
    busy = [reading(n, cpu_s=n * 0.95) for n in range(3)]
    assert "cpu was 0.95" in broken_resource(busy, SLO, 1e9)
    restarted = [*busy[:2], reading(2, cpu_s=1.9, created_at_s=2.0)]
    assert broken_resource(restarted, SLO, 1e9) is None


def test_a_target_may_end_now_and_then_and_not_all_the_time():
    assert crash_loop([0.0, 4000.0, 8000.0, 12_000.0, 16_000.0, 20_000.0], 0) is None
    assert "6 times within an hour" in crash_loop([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 0)
    assert "3 times in a row" in crash_loop([0.0], 3)


def test_a_load_generator_may_end_early_now_and_then_and_not_all_the_time():
    assert wears_out([n * 720.0 for n in range(20)]) is None
    assert "ended early 6 times within an hour" in wears_out([n * 700.0 for n in range(20)])
