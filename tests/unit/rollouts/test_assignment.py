from hypothesis import given
from hypothesis import strategies as st

from rollouts.assignment import SLOTS, is_exposed, salt_key, slot_of, slots_of_share, user_hash

users, salts = st.text(min_size=1, max_size=40), st.text(max_size=20).map(salt_key)
slots = st.integers(min_value=0, max_value=SLOTS)


@given(users, salts)
def test_a_user_always_has_the_same_slot(user: str, salt: str) -> None:
    assert 0 <= slot_of(user, salt) == slot_of(user, salt) < SLOTS


@given(users, salts, slots, slots)
def test_a_growing_share_keeps_everyone_who_was_exposed(user: str, salt: str, first: int, second: int) -> None:
    if is_exposed(user, salt, min(first, second)):
        assert is_exposed(user, salt, max(first, second))


@given(users, salts)
def test_no_slots_expose_nobody_and_all_slots_expose_everyone(user: str, salt: str) -> None:
    assert not is_exposed(user, salt, 0)
    assert is_exposed(user, salt, SLOTS)
    assert is_exposed(None, salt, SLOTS)
    assert not is_exposed(None, salt, SLOTS - 1)


def test_the_share_of_exposed_users_is_the_share_of_slots() -> None:
    exposed = sum(is_exposed(f"user-{n}", salt_key("canary"), 500) for n in range(20_000))
    assert abs(exposed - 1000) < 4 * (20_000 * 0.05 * 0.95) ** 0.5


def test_two_salts_expose_independent_users() -> None:
    names = [f"user-{n}" for n in range(20_000)]
    canary = {name for name in names if is_exposed(name, salt_key("canary-2025-10"), 500)}
    half = [name for name in canary if is_exposed(name, salt_key("ab-2025-10"), 5000)]
    assert abs(len(half) - len(canary) / 2) < 4 * (len(canary) / 4) ** 0.5


def test_a_share_above_nothing_has_at_least_one_slot() -> None:
    assert [slots_of_share(share) for share in (0, 0.00001, 0.05, 1)] == [0, 1, 500, SLOTS]


def test_a_log_never_holds_a_user_id() -> None:
    assert user_hash("somebody@example.org") not in ("somebody@example.org", "-")
    assert user_hash(None) == "-"
