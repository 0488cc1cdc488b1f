"""Critical issue 3: validation and parsing disagreed, and near misses passed as valid."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.resonance_key import ALL_KEYS, Intent, Pace, Tone, parse, validate

pytestmark = pytest.mark.critical_issue(issue="Key Validation")

parts = st.one_of(st.sampled_from([*Tone, *Pace, *Intent, "seeking_advice", "seek", "problem"]), st.text(max_size=12))
keys = st.one_of(
    st.text(max_size=40),
    st.lists(parts, max_size=5).map("-".join),
    st.sampled_from([str(key) for key in ALL_KEYS]).map(lambda text: text.replace("_", "-").upper()),
)


@given(keys)
@example("calm-medium-problematic")
@example("calm-medium-seek")
@example("calm-medium-learning-extra")
def test_a_key_is_valid_exactly_when_parsing_it_needs_no_fallback(text):
    assert validate(text) == (parse(text).fallbacks == ())


@pytest.mark.parametrize("text", ["calm-medium-learning", "frustrated-burst-seeking_advice", "calm-medium-seek-advice"])
def test_keys_that_are_valid(text):
    assert validate(text)


@pytest.mark.parametrize(
    "text",
    [
        "invalid-invalid-invalid",
        "calm-medium",
        "calm",
        "",
        None,
        "calm-medium-problematic",
        "calm-medium-unlearning-x",
        "calm-medium-seek",
        "calm-medium-learning-extra",
        "medium-calm-learning",
        "calm-medium-problem",
        "calm-medium-learning-",
        "-calm-medium-learning",
        "calm_medium_learning",
        "calm-medium-problem solving",
        "calm-medium-seek--advice",
        "curious-burst-inquiry",
        "calm-medium-see\u212a_advice",  # the sign for kelvin
        "calm-medıum-learning",
        "ＣＡＬＭ-medium-learning",
        "calm\u2010medium\u2010learning",
        "calm-medium-seek\u00adadvice",
    ],
)
def test_keys_that_are_not_valid(text):
    assert not validate(text)


def test_every_canonical_key_is_valid():
    assert all(validate(str(key)) for key in ALL_KEYS)


@given(
    st.sampled_from(ALL_KEYS), st.sampled_from(["lower", "upper", "title"]), st.booleans(), st.sampled_from([" ", ""])
)
def test_case_space_and_the_dashes_of_intents_make_no_difference(key, case, dashed, space):
    text = str(key).replace("_", "-") if dashed else str(key)
    written = space + getattr(text, case)().replace("-", f"{space}-", 2) + space
    assert validate(written)
    assert parse(written).key == key


@given(st.sampled_from(ALL_KEYS), st.data())
def test_a_key_with_one_letter_more_less_or_other_is_not_valid(key, data):
    """Near misses passed, because a known word was looked for anywhere in a part."""
    text = str(key)
    at = data.draw(st.integers(0, len(text) - 1).filter(lambda place: text[place].isalpha()))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz").filter(lambda other: other != text[at]))
    for miss in (text[:at] + letter + text[at:], text[:at] + text[at + 1 :], text[:at] + letter + text[at + 1 :]):
        assert not validate(miss)
        assert parse(miss).fallbacks != ()


@pytest.mark.parametrize("key", ["calm-medium-problematic", "calm-medium", "calm-medium-seek", ""])
def test_every_route_with_an_explicit_key_refuses_a_wrong_one(phase3, key):
    asked = {"user_id": "u", "query": "hello", "resonance_key": key}
    assert phase3.post("/api/v2/recommend/personalized", json=asked).status_code == 422
    said = {"user_input": "hello", "resonance_key": key}
    assert phase3.post("/api/v2/process", json=said).status_code == 422


def test_the_api_takes_and_gives_back_every_canonical_key(phase3):
    for key in ALL_KEYS:
        answer = phase3.post("/api/v2/process", json={"user_input": "hello", "resonance_key": str(key)})
        assert answer.json()["resonance_key"] == str(key)


def test_an_explicit_key_of_null_is_none(phase3):
    body = {"user_id": "u", "query": "hello", "resonance_key": None}
    assert phase3.post("/api/v2/recommend/personalized", json=body).status_code == 200
