"""Critical issue 1: parsing gave strings, lost dashed intents, and one bad part discarded the other two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.resonance_key import ALL_KEYS, DEFAULT_KEY, Intent, Pace, ParsedKey, ResonanceKey, Tone, parse, parse_parts

pytestmark = pytest.mark.critical_issue(issue="Resonance Key Parsing")


def test_there_are_216_keys_and_each_is_parsed_to_itself():
    assert len(ALL_KEYS) == 216
    for key in ALL_KEYS:
        assert parse(str(key)).key == key
        assert parse(str(key)).fallbacks == ()


def test_parsed_parts_are_members_of_their_enums():
    key = parse("frustrated-burst-seek_advice").key
    assert isinstance(key.tone, Tone)
    assert isinstance(key.pace, Pace)
    assert isinstance(key.intent, Intent)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("frustrated-burst-seeking_advice", Intent.SEEK_ADVICE),
        ("frustrated-burst-seeking-advice", Intent.SEEK_ADVICE),
        ("frustrated-burst-seek-advice", Intent.SEEK_ADVICE),
        ("frustrated-burst-problem-solving", Intent.PROBLEM_SOLVING),
        ("frustrated-burst-problem_solving", Intent.PROBLEM_SOLVING),
    ],
)
def test_intents_may_be_written_with_dashes_or_underscores_and_by_their_alias(text, intent):
    assert parse(text).key == ResonanceKey(Tone.FRUSTRATED, Pace.BURST, intent)
    assert parse(text).fallbacks == ()


@pytest.mark.parametrize("text", ["", None, "invalid-values-here", "---"])
def test_what_is_no_key_falls_back_to_the_default_in_every_part(text):
    parsed = parse(text)
    assert parsed.key == DEFAULT_KEY
    assert parsed.fallbacks == ("tone", "pace", "intent")


@pytest.mark.parametrize(
    ("text", "fallback"),
    [("angry-burst-planning", "tone"), ("urgent-slow-planning", "pace"), ("urgent-burst-problem", "intent")],
)
def test_a_bad_part_falls_back_alone(text, fallback):
    parsed = parse(text)
    assert parsed.fallbacks == (fallback,)
    for part in {"tone", "pace", "intent"} - {fallback}:
        assert getattr(parsed.key, part) in text


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("calm-medium-problem-solving", Intent.PROBLEM_SOLVING),
        ("calm-medium-seek-advice", Intent.SEEK_ADVICE),
        ("CALM - Medium - Seeking-Advice", Intent.SEEK_ADVICE),
    ],
)
def test_a_dash_inside_an_intent_does_not_end_it(text, intent):
    """They were cut at every dash and became problem and seek, which fell back to learning."""
    assert parse(text) == ParsedKey(ResonanceKey(Tone.CALM, Pace.MEDIUM, intent))


@pytest.mark.parametrize(
    "bad", [{"tone"}, {"pace"}, {"intent"}, {"tone", "pace"}, {"tone", "intent"}, {"pace", "intent"}]
)
def test_bad_parts_of_any_key_leave_the_good_ones(bad):
    for key in ALL_KEYS:
        given = {part: "nonsense" if part in bad else getattr(key, part) for part in ("tone", "pace", "intent")}
        parsed = parse("-".join(given.values()))
        assert set(parsed.fallbacks) == bad
        for part in given:
            assert getattr(parsed.key, part) == getattr(DEFAULT_KEY if part in bad else key, part)


@pytest.mark.parametrize("old", ["inquiry", "statement", "expressive"])
def test_intents_that_only_older_versions_knew_fall_back_alone(old):
    assert parse(f"curious-burst-{old}") == ParsedKey(
        ResonanceKey(Tone.CURIOUS, Pace.BURST, DEFAULT_KEY.intent), ("intent",)
    )


@given(st.lists(st.one_of(st.sampled_from([*Tone, *Pace, *Intent]), st.text(max_size=9)), max_size=5).map("-".join))
def test_whatever_is_parsed_is_a_key_and_its_canonical_form_parses_to_itself(text):
    parsed = parse(text)
    assert parsed.key in ALL_KEYS
    assert parse(str(parsed.key)) == ParsedKey(parsed.key)


@given(*[st.one_of(st.none(), st.sampled_from([*Tone, *Pace, *Intent]), st.text(max_size=9))] * 3)
def test_parts_given_one_by_one_are_read_as_the_key_that_they_make(tone, pace, intent):
    if any("-" in (part or "") for part in (tone, pace)):
        return
    assert parse_parts(tone, pace, intent) == parse("-".join(part or "" for part in (tone, pace, intent)))


def test_what_fell_back_is_told_by_the_api(phase3):
    context = {"tone": "angry", "pace": "burst", "intent": "problem-solving"}
    answer = phase3.post(
        "/api/v2/recommend/personalized", json={"user_id": "u", "query": "hello", "context": context}
    ).json()
    assert answer["resonance_key"] == "calm-burst-problem_solving"
    assert answer["metadata"]["key_fallbacks"] == ["tone"]


def test_case_and_surrounding_space_do_not_matter():
    assert parse(" Calm-MEDIUM - Learning ").fallbacks == ()


def test_a_missing_part_falls_back_and_says_so():
    assert parse("calm-medium").fallbacks == ("intent",)
    assert parse_parts("urgent", None, "planning").fallbacks == ("pace",)
