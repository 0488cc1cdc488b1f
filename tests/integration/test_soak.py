"""Soaks of seconds on real processes that are killed: each goes on, loses nothing and says what happened."""

import os
import signal
import subprocess
import time
from functools import partial

import pytest

from decision.objectives import Objective
from loadtests import generator
from loadtests.soak import SoakStopped, run_soak
from loadtests.soak_folder import read_journal, windows_of
from loadtests.soak_journal import end_of
from loadtests.soak_stop import ask_to_stop
from processes.errors import CollectError
from processes.lock import holding
from processes.wait import wait_for
from tests.integration.soaking import (
    DIES,
    LOCUSTFILE,
    PLAIN_LOCUSTFILE,
    RANDOM_LOCUSTFILE,
    environment_of,
    events,
    generator_pid,
    generator_pids,
    kill,
    lines,
    make_folder,
    measured,
    runner,
    samples,
    soak_of,
    target_pid,
    wait_for_samples,
)
from tests.unit.flows.replaying import replays


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


def finish(soak):
    """Run the soak to its end here; its measurement must be computable again from what is attached."""
    run_soak(soak)
    measurement = measured(soak)
    assert replays(measurement, soak.folder.parent)
    return measurement


def causes(measurement):
    return {gap.cause for gap in measurement.result.gaps}


def once_sampled(folder, count, act):
    """A ``tell`` that acts once, when so many samples were taken."""
    done = []

    def tell(_done, _text):
        if not done and samples(folder) >= count:
            done.append(True)
            act()

    return tell


def test_a_soak_counts_time_under_load_and_the_time_between_its_segments(folder):
    measurement = finish(soak_of(folder, seconds=8, segment_s=4, control="stable"))
    result = measurement.result
    assert measurement.outcome == "passed", measurement.summary
    assert result.ended == "complete"
    assert result.segments == 2
    assert result.hours_under_load * 3600 >= 8
    assert causes(measurement) == {"between two segments"}
    assert result.coverage < 1
    assert (result.verdict, result.target_deaths, result.target_restarts) == ("not-proven", 0, 0)
    assert result.rss_first_mb > 1
    assert result.series
    assert result.control.completed
    assert result.control.error_rate == 0
    assert result.control.series


def test_no_segment_sends_the_requests_of_another_again_and_the_control_gets_the_same(folder):
    (folder.parent / "some.py").write_text(RANDOM_LOCUSTFILE)
    assert finish(soak_of(folder, seconds=8, segment_s=4, control="stable")).result.segments == 2
    candidate, stable = (
        [line for line in (folder.parent / f"{name}.out").read_text().splitlines() if line.startswith("/item/")]
        for name in ("candidate", "stable")
    )
    assert len(candidate) > 100
    assert len(set(candidate)) == len(candidate)
    assert len(set(candidate) & set(stable)) > 0.9 * len(stable)


def test_a_killed_runner_costs_the_time_until_it_is_resumed(folder):
    with runner(folder, seconds=10) as first:
        wait_for_samples(folder, 5, first)
        first.kill()
    loaded = measured(soak_of(folder, seconds=10)).result.hours_under_load
    assert loaded > 0
    measurement = finish(soak_of(folder, seconds=10))
    assert causes(measurement) == {"the soak was interrupted (runner killed)"}
    assert measurement.outcome == "passed", measurement.summary
    assert (measurement.result.target_deaths, measurement.result.target_restarts) == (0, 1)
    assert measurement.result.errors == 0


def test_a_killed_load_generator_is_replaced_at_once(folder):
    tell = once_sampled(folder, 4, lambda: kill(generator_pid(folder)))
    measurement = finish(soak_of(folder, seconds=8, tell=tell))
    assert causes(measurement) == {"the load generator ended with 137"}
    assert measurement.outcome == "passed", measurement.summary
    assert (measurement.result.target_deaths, measurement.result.target_restarts) == (0, 0)


def test_an_ordinary_locustfile_is_soaked_with(folder):
    (folder.parent / "some.py").write_text(PLAIN_LOCUSTFILE)
    measurement = finish(soak_of(folder, seconds=6, journey=None))
    assert measurement.outcome == "passed", measurement.summary
    assert measurement.result.completed > 50


def test_a_lost_worker_ends_its_segment_alone(folder):
    tell = once_sampled(folder, 4, lambda: kill(generator_pids(folder)[-1]))
    measurement = finish(soak_of(folder, seconds=10, workers=2, tell=tell))
    assert "the load generator lost a worker" in causes(measurement)
    assert measurement.result.segments == 2
    assert measurement.result.hours_under_load * 3600 >= 10
    assert measurement.result.target_deaths == 0


def test_a_stopped_load_generator_is_replaced(folder):
    tell = once_sampled(folder, 4, lambda: os.kill(generator_pid(folder), signal.SIGSTOP))
    measurement = finish(soak_of(folder, seconds=8, tell=tell))
    assert causes(measurement) == {"the load generator soak-0001 shows no life for 15 s: it hangs, or was stopped"}
    assert measurement.outcome == "passed", measurement.summary
    assert measurement.result.target_deaths == 0


def test_a_stopped_runner_goes_on_and_the_load_went_on_meanwhile(folder):
    with runner(folder, seconds=14) as process:
        wait_for_samples(folder, 4, process)
        process.send_signal(signal.SIGSTOP)
        before = len(windows_of(folder, 1))
        wait_for(lambda: len(windows_of(folder, 1)) >= before + 2, what="more windows", timeout_s=60)
        process.send_signal(signal.SIGCONT)
        assert process.wait(90) == 0
    measurement = measured(soak_of(folder, seconds=14))
    assert (measurement.outcome, causes(measurement)) == ("passed", set())
    assert measurement.result.hours_under_load * 3600 >= 14


def test_a_runner_that_stood_still_after_its_load_is_the_cause_of_the_gap(folder):
    with runner(folder, seconds=12, segment_s=6) as process:
        wait_for_samples(folder, 2, process)
        process.send_signal(signal.SIGSTOP)
        until_s = time.monotonic() + 12
        wait_for(lambda: not generator_pids(folder) and time.monotonic() > until_s, what="the end of its load",
                 timeout_s=60)  # fmt: skip
        process.send_signal(signal.SIGCONT)
        assert process.wait(90) == 0
    assert "the soak's runner stood still" in causes(measured(soak_of(folder, seconds=12)))


def test_samples_are_taken_while_the_loads_of_target_and_control_start(folder):
    finish(soak_of(folder, seconds=8, segment_s=4, control="stable"))
    began, placed = (events(folder, event)[1].clocks.wall_s for event in ("segment-began", "segment-placed"))
    times = [sample["at_s"] for sample in lines(folder / "samples.jsonl")]
    assert any(began <= at_s <= placed for at_s in times)
    assert min(times) >= events(folder, "segment-placed")[0].clocks.wall_s


def test_a_target_that_ends_is_started_again_and_fails_the_soak(folder):
    tell = once_sampled(folder, 4, lambda: kill(target_pid(folder)))
    measurement = finish(soak_of(folder, seconds=8, tell=tell))
    assert "the target ended and was started again" in causes(measurement)
    assert (measurement.outcome, measurement.result.target_deaths) == ("failed", 1)
    assert "ended by itself once" in measurement.summary
    assert measurement.result.hours_under_load * 3600 >= 8


def test_a_control_that_ends_is_a_gap_of_the_control_alone(folder):
    tell = once_sampled(folder, 3, lambda: kill(target_pid(folder, "control")))
    measurement = finish(soak_of(folder, seconds=12, segment_s=8, control="stable", tell=tell))
    assert measurement.outcome == "passed", measurement.summary
    assert measurement.result.target_deaths == 0
    assert measurement.result.control.deaths == 1
    assert "the control ended and was started again" in {gap.cause for gap in measurement.result.control.gaps}


def test_a_stopped_load_generator_of_the_control_is_a_gap_of_the_control_alone(folder):
    def stop() -> None:
        of_control = [pid for pid in generator_pids(folder) if "control-0001" in environment_of(pid)]
        os.kill(of_control[0], signal.SIGSTOP)

    tell = once_sampled(folder, 3, stop)
    measurement = finish(soak_of(folder, seconds=30, segment_s=24, control="stable", tell=tell))
    assert measurement.outcome == "passed", measurement.summary
    assert causes(measurement) == {"between two segments"}
    of_control = {gap.cause for gap in measurement.result.control.gaps}
    assert of_control == {"the control's load generator shows no life: it hangs, or was stopped"}


def test_a_target_that_will_not_live_ends_the_soak(folder):
    measurement = finish(soak_of(folder, seconds=90, status=DIES))
    assert measurement.outcome == "failed"
    assert measurement.result.ended == "crash-loop"
    assert "the target ended 3 times in a row before anything was under load" in measurement.summary
    assert measurement.result.target_deaths == 3
    assert measurement.result.hours_under_load == 0
    assert measurement.result.errors > 0


def test_a_person_stops_a_soak_and_it_goes_on(folder):
    soak = soak_of(folder, seconds=8, tell=once_sampled(folder, 3, partial(ask_to_stop, folder)))
    with pytest.raises(SoakStopped, match="stopped by"):
        run_soak(soak)
    measurement = finish(soak_of(folder, seconds=8))
    assert causes(measurement) == {"stopped by a person"}
    assert measurement.outcome == "passed", measurement.summary


def test_a_request_to_stop_is_obeyed_before_anything_is_started_and_by_nobody_later(folder):
    with holding(folder / "lock", "the soak"):
        ask_to_stop(folder)
        with pytest.raises(SoakStopped, match="stopped by"):
            run_soak(soak_of(folder, seconds=4))
        assert not events(folder, "target-started")
        ask_to_stop(folder)  # to this holder, which ends before it looks
    with runner(folder, seconds=4) as process:
        assert process.wait(90) == 0, (folder.parent / "runner.out").read_text()
    assert measured(soak_of(folder, seconds=4)).result.ended == "complete"


def test_a_generator_that_is_slow_to_begin_costs_its_segment_alone(folder, monkeypatch):
    monkeypatch.setattr(generator, "_STARTS_WITHIN_S", 10.0)
    slow = "import time\nfrom pathlib import Path\nif not Path('once').exists():\n    Path('once').touch()\n"
    (folder.parent / "some.py").write_text(f"{slow}    time.sleep(60)\n{LOCUSTFILE}")
    measurement = finish(soak_of(folder, seconds=4))
    assert measurement.outcome == "passed", measurement.summary
    assert [e.detail["cause"] for e in events(folder, "segment-ended")] == ["the load generator did not begin", None]


def test_a_generator_of_the_control_that_is_slow_to_begin_is_a_gap_of_the_control_alone(folder, monkeypatch):
    monkeypatch.setattr(generator, "_STARTS_WITHIN_S", 10.0)
    slow = "import os, time\nif any('control-0001' in value for value in os.environ.values()):\n    time.sleep(60)\n"
    (folder.parent / "some.py").write_text(slow + LOCUSTFILE)
    measurement = finish(soak_of(folder, seconds=16, control="stable"))
    assert measurement.outcome == "passed", measurement.summary
    assert causes(measurement) == set()
    assert [e.detail["cause"] for e in events(folder, "control-ended")] == [
        "the control's load generator did not begin"
    ]


def test_a_generator_that_does_not_end_with_its_time_costs_its_segment_alone(folder, monkeypatch):
    monkeypatch.setattr(generator, "_DRAINS_WITHIN_S", -generator._STARTS_WITHIN_S - 5)  # it is given 5 s less
    measurement = finish(soak_of(folder, seconds=12))
    assert measurement.outcome == "passed", measurement.summary
    assert "the load generator did not end with its time" in causes(measurement)
    assert measurement.result.hours_under_load * 3600 >= 12


def test_a_load_that_breaks_again_and_again_ends_the_runner_with_its_error_and_loses_nothing(folder):
    (folder.parent / "some.py").write_text(
        LOCUSTFILE.replace("def plain", "calls = []\n\ndef plain").replace(
            "    yield",
            "    calls.append(1)\n    if len(calls) > 60:\n        import os, sys\n\n"
            "        print('out of stock', file=sys.stderr, flush=True)\n        os._exit(1)\n    yield",
        )
    )
    told = []
    with pytest.raises(CollectError, match=r"ended early 6 times within an hour; the last: .*out of stock"):
        run_soak(soak_of(folder, seconds=300, tell=lambda _done, text: told.append(text)))
    assert any("the load generator ended with 1 (out of stock)" in text for text in told)
    assert len(events(folder, "segment-ended")) == 6
    assert end_of(read_journal(folder)) is None
    assert measured(soak_of(folder)).result.hours_under_load * 3600 >= 6


def test_a_broken_limit_ends_the_soak_with_its_true_length(folder):
    slo = {"error-rate": Objective.model_validate({"unit": "ratio", "roll_back_above": 0.01, "for": "2 windows"})}
    measurement = finish(soak_of(folder, seconds=60, status=500, slo=slo))
    assert (measurement.outcome, measurement.result.ended) == ("failed", "aborted")
    assert "error-rate" in measurement.summary
    assert measurement.result.hours_under_load < 30 / 3600


def test_a_limit_of_memory_ends_the_soak(folder):
    slo = {"memory": Objective.model_validate({"unit": "ratio", "roll_back_above": 0.001, "for": "3 windows"})}
    measurement = finish(soak_of(folder, seconds=60, slo=slo))
    assert (measurement.outcome, measurement.result.ended) == ("failed", "aborted")
    assert "memory was" in measurement.summary


def test_a_load_that_cannot_begin_is_given_up_with_its_error(folder):
    (folder.parent / "some.py").write_text("raise ValueError('no such shop')\n")
    with pytest.raises(CollectError, match=r"3 segments in a row(.|\n)*no such shop"):
        run_soak(soak_of(folder))
    assert end_of(read_journal(folder)) is None


def test_a_source_of_resources_that_does_not_answer_is_a_missing_sample_and_no_death(folder):
    readings = []

    def read(target):
        readings.append(target)
        return

    result = finish(soak_of(folder, seconds=6, read=read)).result
    assert result.samples_missing == result.samples > 2
    assert (result.target_deaths, result.rss_last_mb, result.memory_ratio) == (0, None, None)
    assert result.verdict == "not-proven"


def test_two_runners_that_race_are_one_runner(folder):
    with runner(folder, seconds=6) as one, runner(folder, seconds=6) as other:
        wait_for(lambda: None not in (one.poll(), other.poll()), what="both over", timeout_s=90)
        assert sorted([one.returncode == 0, other.returncode == 0]) == [False, True]
    assert "is held by process" in (folder.parent / "runner.out").read_text()
    assert len(events(folder, "runner-began")) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_the_runner_and_loses_nothing(small_disk):
    folder = make_folder(small_disk)
    filler = small_disk / "filler"

    def fill():
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    with pytest.raises(CollectError, match="no space is left in"):
        run_soak(soak_of(folder, seconds=30, tell=once_sampled(folder, 5, fill)))
    loaded = measured(soak_of(folder)).result.hours_under_load
    assert loaded > 0
    filler.unlink()
    measurement = finish(soak_of(folder, seconds=30))
    assert measurement.outcome == "passed", measurement.summary
    assert measurement.result.hours_under_load * 3600 >= 30
    assert any("no space was left" in cause for cause in causes(measurement))


def test_a_torn_last_line_never_counts_and_harms_nothing_after_it(folder):
    with pytest.raises(SoakStopped):
        run_soak(soak_of(folder, seconds=8, tell=once_sampled(folder, 3, partial(ask_to_stop, folder))))
    before = len(lines(folder / "samples.jsonl"))
    for path in (folder / "samples.jsonl", folder / "journal.jsonl", *folder.glob("*.windows.jsonl")):
        with path.open("a") as file:
            file.write('{"torn": ')
    measurement = finish(soak_of(folder, seconds=8))
    assert measurement.outcome == "passed", measurement.summary
    assert len(lines(folder / "samples.jsonl")) > before
