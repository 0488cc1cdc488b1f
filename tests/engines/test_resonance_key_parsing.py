"""Critical issue 1: parsing gave strings, lost dashed intents, and one bad part discarded the other two."""

import pytest

from engines.resonance_key import ALL_KEYS, DEFAULT_KEY, Intent, Pace, ResonanceKey, Tone, parse, parse_parts

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


def test_case_and_surrounding_space_do_not_matter():
    assert parse(" Calm-MEDIUM - Learning ").fallbacks == ()


def test_a_missing_part_falls_back_and_says_so():
    assert parse("calm-medium").fallbacks == ("intent",)
    assert parse_parts("urgent", None, "planning").fallbacks == ("pace",)
