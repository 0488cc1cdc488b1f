"""Ids of recommendations prove what was recommended to whom."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.personas import Persona
from engines.recommendation.receipts import Receipt, issue, read
from engines.resonance_key import ALL_KEYS

pytestmark = pytest.mark.phase4

SECRET = b"s" * 32


@given(st.text(min_size=1, max_size=128), st.sampled_from(Persona), st.sampled_from(ALL_KEYS))
def test_an_id_tells_what_was_recommended_to_its_user_alone(user, persona, key):
    made = issue(SECRET, user, persona, key)
    assert len(made) <= 64
    assert read(SECRET, user, made) == Receipt(persona, key)
    assert read(SECRET, f"{user}x", made) is None
    assert read(b"t" * 32, user, made) is None


def test_an_id_is_never_issued_twice():
    assert len({issue(SECRET, "u", Persona.LUA, ALL_KEYS[0]) for _ in range(1000)}) == 1000


def test_an_id_with_another_character_is_none():
    """Of the last character too, of which two bits are no part of the 20 bytes."""
    made = issue(SECRET, "u", Persona.NANA, ALL_KEYS[9])
    for place in range(len(made)):
        for character in string.ascii_letters + string.digits + "-_=+/":
            changed = made[:place] + character + made[place + 1 :]
            assert (read(SECRET, "u", changed) is None) == (changed != made)


@given(st.text(max_size=64))
def test_no_text_is_an_id_by_chance(text):
    assert read(SECRET, "u", text) is None
