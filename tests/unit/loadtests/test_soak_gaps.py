"""What counts as load, what as a gap, and why."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.soak_gaps import find_gaps, longest_gaps, lost_time, place, seconds_of, span_s, under_load_s
from loadtests.soak_timeline import jumps_of
from tests.unit.loadtests.soaks import WALL_S, Machine


@pytest.fixture
def machine():
    made = Machine()
    made.begin_runner()
    return made


def placed(machine):
    return place(machine.segments, machine.entries, machine.sampled_s)


def gaps(machine):
    return [(round(seconds_of(gap), 3), gap.cause) for gap in find_gaps(placed(machine), machine.entries)]


def test_segments_one_after_the_other_leave_only_the_time_between_them(machine):
    machine.load(6)
    machine.pass_by(3)
    machine.load(6)
    assert gaps(machine) == [(3, "between two segments")]
    assert under_load_s(placed(machine)) == pytest.approx(120)


def test_a_killed_runner_is_the_cause_of_its_gap(machine):
    machine.load(6, ended=False)
    machine.sampled_s.append(machine.wall_s)
    machine.pass_by(100)
    machine.begin_runner()
    machine.load(6)
    assert gaps(machine) == [(100, "the soak was interrupted (runner killed)")]


def test_windows_after_the_last_sign_of_life_of_a_killed_runner_do_not_count(machine):
    machine.load(6, ended=False)
    machine.sampled_s.append(WALL_S + 40)
    machine.pass_by(100)
    machine.begin_runner()
    machine.load(6)
    assert gaps(machine) == [(120, "the soak was interrupted (runner killed)")]


def test_a_restarted_machine_is_the_cause_of_its_gap(machine):
    machine.load(6, ended=False)
    machine.sampled_s.append(machine.wall_s)
    machine.restart(300)
    machine.begin_runner()
    machine.load(6)
    assert gaps(machine) == [(300, "the machine was restarted")]
    assert jumps_of(machine.entries) == []


@pytest.mark.parametrize("cause", ["the load generator ended with 137", "the load generator wrote no window any more"])
def test_a_broken_generator_is_the_cause_of_its_gap(machine, cause):
    machine.load(3, cause=cause)
    machine.pass_by(5)
    machine.load(3)
    assert gaps(machine) == [(5, cause)]


def test_a_target_that_ended_is_the_cause_of_its_gap(machine):
    machine.load(3)
    machine.log("target-ended", role="target")
    machine.pass_by(5)
    machine.load(3)
    assert gaps(machine) == [(5, "the target ended and was started again")]


def test_windows_after_the_target_was_last_seen_alive_are_no_load(machine):
    machine.load(6)
    machine.log("target-ended", role="target", alive_s=WALL_S + 45)
    machine.pass_by(5)
    machine.load(3)
    assert gaps(machine) == [(25, "the target ended and was started again")]
    assert under_load_s(placed(machine)) == pytest.approx(70)


def test_a_controls_end_is_a_cause_only_of_the_controls_gaps(machine):
    machine.load(3)
    machine.log("target-ended", role="control")
    machine.pass_by(5)
    machine.load(3)
    assert gaps(machine) == [(5, "between two segments")]
    own = find_gaps(placed(machine), machine.entries, control=True)
    assert [gap.cause for gap in own] == ["the control ended and was started again"]


@pytest.mark.parametrize("why", ["stopped by a person", "no space was left in the soak's folder"])
def test_a_runner_that_could_say_why_it_ended_is_quoted(machine, why):
    machine.load(3)
    machine.log("runner-ended", why=why)
    machine.pass_by(500)
    machine.begin_runner()
    machine.load(3)
    assert gaps(machine) == [(500, why)]


def test_all_causes_of_one_gap_are_named_in_their_order(machine):
    machine.load(3, cause="the load generator ended with 137")
    machine.log("runner-ended", why="stopped by a person")
    machine.restart(60)
    machine.begin_runner()
    machine.load(3)
    assert gaps(machine) == [(60, "the load generator ended with 137; stopped by a person; the machine was restarted")]


def test_windows_without_their_rate_are_one_gap(machine):
    machine.load(2)
    machine.load(3, held=False)
    assert gaps(machine) == [(30, "the offered rate was not held")]


def test_windows_that_were_refused_are_a_gap_of_the_targets(machine):
    machine.load(2)
    machine.load(3, served=False)
    assert gaps(machine) == [(30, "too few requests were served")]


@pytest.mark.parametrize("by_s", [3600, -3600, 90_000, -90_000])
def test_a_clock_that_is_set_makes_neither_load_nor_gap_and_is_named(machine, by_s):
    machine.load(6)
    machine.set_clock(by_s)
    machine.pass_by(3)
    machine.load(6)
    assert gaps(machine) == [(3, "between two segments")]
    assert [round(jump.by_s) for jump in jumps_of(machine.entries)] == [by_s]


def test_a_clock_that_is_set_back_in_a_restart_makes_no_overlap_and_is_named(machine):
    machine.load(6)
    machine.restart(-500)
    machine.begin_runner()
    machine.load(6)
    assert gaps(machine) == []
    assert under_load_s(placed(machine)) == pytest.approx(span_s(placed(machine)))
    assert [round(jump.by_s) for jump in jumps_of(machine.entries)] == [-500]


def test_a_suspended_machine_is_a_gap_of_that_length(machine):
    machine.load(6)
    machine.suspend(1800)
    machine.pass_by(2)
    machine.load(6)
    assert gaps(machine) == [(1802, "the machine was suspended")]
    assert jumps_of(machine.entries) == []


def test_a_suspend_within_a_segment_is_a_gap_there(machine):
    machine.load(10, suspended=(6, 1800))
    assert gaps(machine) == [(1800, "the machine was suspended")]
    assert under_load_s(placed(machine)) == pytest.approx(100)


happenings = st.lists(
    st.one_of(
        st.tuples(st.just("load"), st.integers(1, 8)),
        st.tuples(st.just("lost rate"), st.integers(1, 3)),
        st.tuples(st.just("pause"), st.floats(0.01, 5000)),
        st.tuples(st.just("clock"), st.floats(-1e5, 1e5)),
        st.tuples(st.just("suspend"), st.floats(2, 5000)),
        st.tuples(st.just("restart"), st.floats(-5000, 5000)),
        st.tuples(st.just("kill"), st.floats(0.5, 500)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(happenings)
def test_load_and_gaps_are_the_whole_span_and_nothing_overlaps(happened):
    machine = Machine()
    machine.begin_runner()
    machine.load(1)
    loaded = 1
    for what, value in happened:
        match what:
            case "load":
                machine.load(value)
                loaded += value
            case "lost rate":
                machine.load(value, held=False)
            case "pause":
                machine.pass_by(value)
            case "clock":
                machine.set_clock(value)
            case "suspend":
                machine.suspend(value)
            case "restart":
                machine.restart(value)
                machine.begin_runner()
            case "kill":
                machine.pass_by(value)
                machine.begin_runner()
    windows = placed(machine)
    found = find_gaps(windows, machine.entries)
    assert under_load_s(windows) == pytest.approx(10 * loaded, abs=1e-3)
    assert under_load_s(windows) + sum(map(seconds_of, found)) == pytest.approx(span_s(windows), abs=0.1)
    for before, after in pairwise(windows):
        assert after.window.started_at_s >= before.window.finished_at_s - 1e-6
    assert sum(lost.count for lost in lost_time(found)) == len(found)


def test_the_longest_gaps_are_kept_in_their_order(machine):
    for n in range(230):
        machine.load(1)
        machine.pass_by(2 + n % 7)
    found = find_gaps(placed(machine), machine.entries)
    kept = longest_gaps(found)
    assert len(kept) == 200
    assert min(map(seconds_of, kept)) >= 2
    assert kept == sorted(kept, key=lambda gap: gap.started_at)
    assert sum(lost.count for lost in lost_time(found)) == len(found) == 229
