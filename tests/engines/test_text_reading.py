import pytest

from engines.resonance_key import Intent, Pace, Tone, validate
from engines.text_reading import read_entities, read_key, read_preferences, read_topics


@pytest.mark.parametrize(
    ("text", "tone", "intent"),
    [
        ("I am so frustrated, this bug is not fixed", Tone.FRUSTRATED, Intent.PROBLEM_SOLVING),
        ("We should plan the roadmap together", Tone.COLLABORATIVE, Intent.PLANNING),
        ("Can you explain what is a monad?", Tone.CALM, Intent.LEARNING),
        ("This is urgent! What should I do?", Tone.URGENT, Intent.SEEK_ADVICE),
    ],
)
def test_words_give_tone_and_intent(text, tone, intent):
    key = read_key(text)
    assert (key.tone, key.intent) == (tone, intent)
    assert validate(str(key))


def test_the_length_of_sentences_gives_the_pace():
    assert read_key("Help! Now!").pace == Pace.BURST
    assert read_key("one two three four five six seven eight nine ten eleven").pace == Pace.CONTEMPLATIVE
    assert read_key("").pace == Pace.BURST


def test_entities_topics_and_preferences_are_read_once_each():
    text = "I told Anna Berg that Python and Python again beat 30 ms on Friday"
    entities = read_entities(text)
    assert entities["technology"] == ["Python"]
    assert entities["person"] == ["Anna Berg"]
    assert entities["time"] == ["Friday"]
    assert "python" in read_topics(text)
    assert read_preferences("I like short answers, keep it brief") == {
        "likes": ["short answers"],
        "answer_length": "short",
    }
