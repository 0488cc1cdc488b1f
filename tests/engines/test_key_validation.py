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
    ],
)
def test_keys_that_are_not_valid(text):
    assert not validate(text)


def test_every_canonical_key_is_valid():
    assert all(validate(str(key)) for key in ALL_KEYS)


def test_the_api_refuses_an_explicit_key_that_is_not_valid(phase3):
    body = {"user_id": "u", "query": "hello", "resonance_key": "calm-medium-problematic"}
    assert phase3.post("/api/v2/recommend/personalized", json=body).status_code == 422
    assert phase3.post("/api/v2/recommend/personalized", json=body | {"resonance_key": None}).status_code == 200
