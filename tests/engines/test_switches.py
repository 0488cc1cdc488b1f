"""Whom the ensemble answers: shares by salted hash, kept in SQL so that all processes agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from engines.conversation.database import open_database
from engines.slots import SLOTS, slot, within
from engines.switches import Arm, Canary, Experiment, Switches, SwitchStore

pytestmark = pytest.mark.phase4

USERS = [f"user-{number:05d}" for number in range(20_000)]


@given(st.text(max_size=20), st.floats(0, 100), st.floats(0, 100))
def test_who_is_in_a_share_is_in_every_larger_one(user, one, other):
    low, high = sorted((one, other))
    assert within("salt", user, high) or not within("salt", user, low)
    assert not within("salt", user, 0)
    assert within("salt", user, 100)
    assert 0 <= slot("salt", user) < SLOTS


def test_a_share_has_its_share_of_users():
    assert sum(within("salt", user, 5) for user in USERS) == pytest.approx(1000, abs=120)


def test_users_of_the_canary_are_in_both_arms_of_the_experiment():
    """One hash for both put every user of the canary into the control arm."""
    switches = Switches(Canary(percentage=5), Experiment("salt", "2025-10-30T08:00:00+00:00"))
    arms = [arm for user in USERS if (arm := switches.arm(user)) is not None]
    assert len(arms) == pytest.approx(1000, abs=120)
    assert sum(arm is Arm.CONTROL for arm in arms) == pytest.approx(len(arms) / 2, abs=100)


def test_another_salt_draws_other_arms():
    arms = [[within(salt, user, 50) for user in USERS[:5000]] for salt in ("one", "two")]
    same = sum(a == b for a, b in zip(*arms, strict=True))
    assert same == pytest.approx(2500, abs=200)


@given(st.text(max_size=20))
def test_only_the_control_arm_and_users_outside_the_share_are_answered_by_the_router(user):
    running = Experiment("salt", "2025-10-30T08:00:00+00:00")
    assert Switches().by_ensemble(user)
    assert not Switches(Canary(enabled=False)).by_ensemble(user)
    assert not Switches(Canary(percentage=0), running).by_ensemble(user)
    both = Switches(Canary(), running)
    assert both.by_ensemble(user) == (both.arm(user) is Arm.TREATMENT)
    assert Switches(Canary(enabled=False), running).arm(user) is None


@pytest.fixture
def engine(new_database):
    engine = open_database(new_database())
    yield engine
    engine.dispose()


def test_what_one_process_sets_others_read_and_later_ones_begin_with(engine):
    one, other = SwitchStore(engine), SwitchStore(engine)
    one.set_canary(Canary(percentage=5))
    assert other.now == Switches()
    assert other.read().canary == Canary(True, 5.0)
    started = other.start_experiment().experiment
    assert one.read().experiment == started
    assert one.now.canary == Canary(True, 5.0), "an experiment changes no share"
    assert SwitchStore(engine).now == one.now
    one.stop_experiment()
    assert not other.read().experiment.running
    assert other.start_experiment().experiment.salt != started.salt, "each experiment draws its own arms"


def test_a_process_that_cannot_read_goes_on_by_what_it_knows(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/ion.sqlite")
    store = SwitchStore(engine)
    store.set_canary(Canary(percentage=5))
    engine.dispose()
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(Exception, match="no such table"):
        store.read()
    assert store.now.canary.percentage == 5
