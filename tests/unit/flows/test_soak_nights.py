"""Nights of a soak that add up, recorded from folders as a soak leaves them."""

import json
import shutil
import threading
import time
from dataclasses import asdict

import pytest

from evidence.prune import prune
from evidence.soak_result import SoakResult
from evidence.store import open_store
from flows.authorization import pending
from flows.nightly import record_earlier_night
from flows.replay import replay_ledger
from flows.soaking import record_stopped, resume_soak, soak_status, soak_step, stop_soak
from loadtests.soak_folder import JOURNAL, LOCK, SAMPLES, STOP, generator_name
from loadtests.soak_status import status_lines
from processes.errors import CollectError
from processes.lock import holding
from processes.wait import wait_for
from reports.tables import tables_of
from tests.e2e.small_release import make_release
from tests.unit.loadtests.soaks import Machine
from tests.unit.loadtests.test_soak_status import reading

SOAK = """\
  soak: {kind: soak, users: README.md, journey: plain, rate: 20/s, memory_limit: 512MB, control: none, NIGHTS}
claims:
  - {id: holds, says: It holds, needs: soak, criteria: {hours_under_load: {at_least: 0.1}}, max_age: 24h, gates: [full]}
"""


@pytest.fixture
def release(tmp_path):
    folder = make_release(tmp_path / "shop")
    plan = folder / "plan.yaml"
    text = plan.read_text().replace("quick: {load: 5s, soak: 5s}", "quick: {load: 5s, soak: 120s}")
    plan.write_text(text.replace("claims:\n", SOAK.replace("NIGHTS", "nights_add_up: true")))
    return folder


def step_of(release):
    return soak_step(release / "plan.yaml", "soak", "quick", release / "home")


def night(release, **how):
    """Record a night."""
    record = resume_soak(leave(release, **how))
    assert isinstance(record.result, SoakResult)
    return record


def leave(release, *, hours_ago, windows=12, deaths=0, life=1.0, how="complete"):
    """The folder of a soak of so many windows of 10 s that ended so long ago; ``how`` None: it was interrupted."""
    step, at_s = step_of(release), time.time() - hours_ago * 3600 - windows * 10
    machine = Machine(wall_s=at_s)
    machine.begin_runner()
    machine.log("target-started", role="target", pid=1, url="http://here")
    if windows:
        machine.load(windows)
    for _ in range(deaths):
        machine.log("target-ended", role="target", alive_s=None)
    if how is not None:
        machine.log("soak-ended", how=how, why="it was over")
    step.work_dir.mkdir(parents=True)
    names = {"started_at_s": "started_at", "finished_at_s": "finished_at"}
    write(step.work_dir / f"{generator_name(1)}.windows.jsonl",
          [{names.get(k, k): v for k, v in vars(w).items()} for s in machine.segments for w in s.windows])  # fmt: skip
    write(step.work_dir / JOURNAL, [{"event": e.event, **asdict(e.clocks), **e.detail} for e in machine.entries])
    write(step.work_dir / SAMPLES,
          [asdict(reading(at_s + 10 * n, created_at_s=at_s + life)) for n in range(windows)])  # fmt: skip
    return step


def write(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


@pytest.fixture
def store(release):
    opened = open_store(release / "home")
    yield opened
    opened.ledger.close()


def why_pending(release, store):
    missing, _ = pending(step_of(release).plan_file, store, profile="quick")
    return {item.collector: item.why for item in missing}.get("soak")


def test_nights_add_up_each_of_them_once_and_the_time_between_them_is_no_gap(release, store):
    first, second = night(release, hours_ago=20, windows=5), night(release, hours_ago=10, windows=18)
    third = night(release, hours_ago=0.1, windows=12)
    assert [len(r.result.nights) for r in (first, second, third)] == [1, 2, 3]
    result = third.result
    assert result.hours_under_load * 3600 == pytest.approx(350)
    assert [n.record_id for n in result.nights] == [first.record_id, second.record_id, None]
    assert [round(n.hours_under_load * 3600) for n in result.nights] == [50, 180, 120]
    assert (result.coverage, result.gaps, result.target_restarts, result.completed) == (1.0, [], 0, 35)
    assert result.longest_life_hours * 3600 == pytest.approx(170)
    assert result.target_hours * 3600 == pytest.approx(120)
    assert third.outcome == "passed"
    assert third.started_at == result.nights[0].started_at
    assert "5m 50s in 3 nights under load" in third.summary
    nights = tables_of(result)[0]
    assert nights.caption.endswith("in 3 nights")
    assert [row[1] for row in nights.rows] == [first.record_id[:12], second.record_id[:12], "this record"]
    assert not third.left_out
    replay = replay_ledger(store)
    assert (replay.problem, replay.replayed) == (None, {"soak": 3})


def test_the_status_of_a_night_shows_what_all_nights_have_and_what_this_one_needs(release):
    night(release, hours_ago=20, windows=12)
    status = soak_status(leave(release, hours_ago=0.1, windows=5, how=None))
    assert [round(n.hours_under_load * 3600) for n in status.result.nights] == [120, 50]
    assert status.needed_hours * 3600 == pytest.approx(70)
    assert any(line.startswith("night ") for line in status_lines(status))


def test_the_status_of_a_night_is_there_without_the_ledger_and_says_so(release):
    night(release, hours_ago=20, windows=12)
    step = leave(release, hours_ago=0.1, windows=5, how=None)
    (release / "home" / "ledger.sqlite").unlink()
    status = soak_status(step)
    assert len(status.result.nights) == 1
    assert "ledger.sqlite is not there" in "\n".join(status_lines(status))


def test_nights_do_not_add_up_where_the_plan_says_nothing(release):
    plan = release / "plan.yaml"
    plan.write_text(plan.read_text().replace(", nights_add_up: true", ""))
    night(release, hours_ago=20)
    again = night(release, hours_ago=1)
    assert again.result.hours_under_load * 3600 == pytest.approx(120)
    assert len(again.result.nights) == 1
    assert not any(a.name.startswith("night") for a in again.attachments)


def test_a_failed_night_is_not_hidden_by_a_good_one(release, store):
    failed = night(release, hours_ago=20, deaths=1)
    assert failed.outcome == "failed"
    later = night(release, hours_ago=1)
    assert (later.outcome, later.result.target_deaths) == ("failed", 1)
    assert "failed: the target ended by itself once" in later.summary
    assert replay_ledger(store).problem is None


def test_nights_of_another_subject_or_other_inputs_are_another_soak(release):
    night(release, hours_ago=20)
    (release / "README.md").write_text("# Shop\n\n## Usage\n\nOther users.\n")
    assert len(night(release, hours_ago=10).result.nights) == 1
    (release / "service" / "index.html").write_text("another")
    assert len(night(release, hours_ago=1).result.nights) == 1


def test_a_stale_night_does_not_count_and_is_named(release):
    night(release, hours_ago=25)
    later = night(release, hours_ago=1)
    assert len(later.result.nights) == 1
    assert [(x.what, x.count, x.why) for x in later.left_out] == [
        ("earlier nights", 1, "stale: older than any claim allows")
    ]


def test_a_night_that_retention_removed_does_not_count_and_is_named(release, store):
    old, kept = night(release, hours_ago=20), night(release, hours_ago=5)
    pruned = prune(store, cutoff=kept.started_at.replace(microsecond=0) + (kept.finished_at - kept.started_at) / 2,
                   reason="space")  # fmt: skip
    assert [r.record_id for r in pruned.records] == [old.record_id]
    later = night(release, hours_ago=1)
    assert [n.record_id for n in later.result.nights] == [kept.record_id, None]
    assert [(x.what, x.why) for x in later.left_out] == [("earlier nights", "retention removed it")]
    assert replay_ledger(store).problem is None


@pytest.mark.parametrize(("deaths", "outcome"), [(0, "passed"), (1, "failed")])
def test_a_night_whose_material_is_gone_does_not_count_and_its_failure_stays(release, store, deaths, outcome):
    lost = night(release, hours_ago=20, deaths=deaths)
    samples = next(a for a in lost.attachments if a.name == SAMPLES)
    store.attachments.remove(samples.sha256)
    later = night(release, hours_ago=1)
    assert (later.outcome, len(later.result.nights)) == (outcome, 1)
    (left_out,) = later.left_out
    assert left_out.why.startswith(f"not to be read: attachment {samples.sha256[:12]} cannot be read")


def test_the_hours_of_all_nights_are_held_against_the_profile(release, store):
    night(release, hours_ago=20, windows=5, how="stopped")
    assert why_pending(release, store) == "50s measured, profile quick asks for 2m"
    night(release, hours_ago=1, windows=7, how="stopped")
    assert why_pending(release, store) is None


def before_tonight(step):
    """What the nightly flow does with earlier soaks: what could not be done."""
    return record_earlier_night(step.plan_file, ["soak", "tests"], profile="quick", home=step.home)


def test_an_interrupted_night_is_recorded_with_its_true_length_before_the_next_begins(release, store):
    step = leave(release, hours_ago=17, windows=7, how=None)
    assert before_tonight(step) == {}
    assert not step.work_dir.exists()
    (record,), invalid = store.records(step.subject.digest)
    assert (record.outcome, record.result.ended, invalid) == ("inconclusive", "stopped", [])
    assert record.result.hours_under_load * 3600 == pytest.approx(70)
    assert record.result.gaps == []
    assert before_tonight(step) == {}
    assert len(store.records(step.subject.digest)[0]) == 1
    assert night(release, hours_ago=0.1).result.hours_under_load * 3600 == pytest.approx(190)


def test_an_interrupted_night_without_load_is_nothing(release, store):
    step = leave(release, hours_ago=17, windows=0, how=None)
    assert before_tonight(step) == {}
    assert not step.work_dir.exists()
    assert store.records(step.subject.digest) == ([], [])


def test_a_soak_that_somebody_runs_is_left_alone(release):
    step = leave(release, hours_ago=1, how=None)
    with holding(step.work_dir / LOCK, "the soak"):
        assert "is held by process" in before_tonight(step)["soak"]
    assert step.work_dir.exists()


@pytest.mark.parametrize(("removed", "said"), [(False, "stopped"), (True, "it ended")])
def test_who_stops_a_soak_is_told_when_it_had_ended_meanwhile(release, removed, said):
    step = leave(release, hours_ago=1, how=None)
    taken = threading.Event()

    def run() -> None:
        with holding(step.work_dir / LOCK, "the soak"):
            taken.set()
            wait_for(lambda: (step.work_dir / STOP).exists(), what="the request", timeout_s=10)
            if removed:
                shutil.rmtree(step.work_dir)

    runner = threading.Thread(target=run)
    runner.start()
    assert taken.wait(10)
    assert stop_soak(step) == said
    runner.join()
    assert (soak_status(step) is None) == removed
    assert stop_soak(step) == "nobody ran it"


def test_a_soak_that_is_ended_by_a_person_is_inconclusive(release):
    record = record_stopped(leave(release, hours_ago=1, windows=7, how=None))
    assert record.outcome == "inconclusive"
    assert "it was ended for good by" in record.summary


def test_a_damaged_sample_is_counted_and_keeps_nobody_from_status_and_record(release):
    step = leave(release, hours_ago=1, how=None)
    file = step.work_dir / SAMPLES
    kept = file.read_text().splitlines(keepends=True)
    file.write_text("".join([kept[0], "\0\0\0\n", *kept[2:]]))
    assert soak_status(step).result.samples_missing == 1
    record = record_stopped(step)
    assert (record.result.samples, record.result.samples_missing) == (12, 1)
    assert any(left.what == "samples" for left in record.left_out)


def test_a_damaged_journal_is_named_with_its_file(release):
    step = leave(release, hours_ago=1, how=None)
    file = step.work_dir / JOURNAL
    file.write_text(file.read_text().replace("{", "", 1))
    for act in (soak_status, record_stopped, resume_soak):
        with pytest.raises(CollectError, match=f"{file}:1: a damaged entry"):
            act(step)
