"""What a conversation keeps: the last five turns word for word, a summary of those before, and what they were about."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engines.resonance_key import ResonanceKey
from engines.text_reading import read_entities, read_key, read_preferences, read_topics

WINDOW = 5
MOST_TURNS = 10
TOKEN_BUDGET = 3000
SUMMARY_TOKENS = 150
# What a prompt says besides memory, summary, turns and message: the persona and how to answer.
INSTRUCTION_TOKENS = 200
_SUMMARY_BULLETS = 8
_BULLET_CHARACTERS = 160
_MOST_TOPICS = 10
_MOST_ENTITIES = 5
_LONGEST_NAME = 30
_MOST_WISHES = 5


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    number: int
    user_message: str
    response_text: str


@dataclass(frozen=True)
class Memory:
    """Topics (oldest first, each once), entities by category, and preferences, stated ones and tone and pace."""

    topics: tuple[str, ...]
    entities: dict[str, tuple[str, ...]]
    preferences: dict[str, Any]

    @property
    def wishes(self) -> tuple[str, ...]:
        """Preferences as they are told: ``name: value``."""
        told = {name: ", ".join(v) if isinstance(v, list) else v for name, v in self.preferences.items()}
        return tuple(f"{name}: {value}" for name, value in told.items())


@dataclass(frozen=True)
class Used:
    """What really went into an answer; ``turns`` of them word for word."""

    topics: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    turns: int = 0
    summary: bool = False

    def __str__(self) -> str:
        summarized = " Summary of earlier turns." if self.summary else ""
        return (
            f"Topics: [{', '.join(self.topics)}]. Entities: [{', '.join(self.entities)}]. "
            f"User preferences: [{', '.join(self.preferences)}]. Turns: {self.turns}.{summarized}"
        )


@dataclass(frozen=True)
class Context:
    """What may go into an answer: memory, a summary of older turns, the last turns, and how the message sounds.

    ``number`` is that of the turn to be taken, from 1.
    """

    summary: str
    turns: tuple[Turn, ...]
    memory: Memory
    moment: ResonanceKey
    number: int

    @property
    def used(self) -> Used:
        """All of it, for an answer that was given all of it."""
        entities = tuple(name for names in self.memory.entities.values() for name in names)
        return Used(self.memory.topics, entities, self.memory.wishes, len(self.turns), bool(self.summary))


def remember(messages: Sequence[str]) -> Memory:
    """What the user's messages were about, oldest first; of contradictory wishes the last one counts.

    Bounded, by leaving out the oldest: ten topics, five entities of a category, five likes and dislikes. Tone and
    pace are those that most messages had, the newest of equals.
    """
    topics: dict[str, None] = {}
    entities: dict[str, dict[str, None]] = {}
    preferences: dict[str, Any] = {}
    for message in messages:
        topics |= dict.fromkeys(topic for topic in read_topics(message) if len(topic) <= _LONGEST_NAME)
        for category, names in read_entities(message).items():
            short = dict.fromkeys(name for name in names if len(name) <= _LONGEST_NAME)
            entities[category] = _last(entities.get(category, {}) | short, _MOST_ENTITIES)
        preferences = _with_wishes(preferences, read_preferences(message))
    if keys := [read_key(message) for message in reversed(messages)]:
        preferences["tone"] = _most_frequent([key.tone.value for key in keys])
        preferences["pace"] = _most_frequent([key.pace.value for key in keys])
    found = {category: tuple(names) for category, names in entities.items() if names}
    return Memory(tuple(_last(topics, _MOST_TOPICS)), found, preferences)


def _with_wishes(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Likes and dislikes add up, and who likes what they disliked before has changed their mind."""
    wishes = before | {name: value for name, value in new.items() if not isinstance(value, list)}
    for name, opposite in (("likes", "dislikes"), ("dislikes", "likes")):
        if stated := new.get(name):
            wishes[name] = list(_last(dict.fromkeys([*before.get(name, []), *stated]), _MOST_WISHES))
            if opposite not in new:
                wishes[opposite] = [value for value in before.get(opposite, []) if value not in stated]
    return {name: value for name, value in wishes.items() if value}


def _last(values: dict[str, None], most: int) -> dict[str, None]:
    return dict.fromkeys(list(values)[-most:])


def _most_frequent(values: Sequence[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def summarize(turns: Sequence[Turn]) -> str:
    """One bullet per message, each cut to 160 characters; at most 8, within 150 tokens, the oldest left out first."""
    return summarize_messages([m for turn in turns for m in (("U", turn.user_message), ("A", turn.response_text))])


def summarize_messages(messages: Iterable[tuple[str, str]]) -> str:
    """The same of messages, each with the letter of who said it. A message said again counts as said last."""
    bullets: list[str] = []
    for speaker, text in messages:
        bullet = f"- {speaker}: {' '.join(text.split())}"[:_BULLET_CHARACTERS]
        if bullet in bullets:
            bullets.remove(bullet)
        bullets.append(bullet)
    bullets = bullets[-_SUMMARY_BULLETS:]
    while tokens_of("\n".join(bullets)) > SUMMARY_TOKENS:
        bullets.pop(0)
    return "\n".join(bullets)


def tokens_of(text: str) -> int:
    """A count of tokens without a tokenizer: four bytes of UTF-8 each, rounded up."""
    return -(-len(text.encode()) // 4)


def context_of(turns: Sequence[Turn], message: str, *, uses_memory: bool = True) -> Context:
    """The context of the next message, within the token budget.

    At most five turns are kept word for word; those that do not fit are summarized with the older ones. Without
    ``uses_memory`` the last turns are all there is.
    """
    window = list(turns[-WINDOW:])
    memory = remember([*(turn.user_message for turn in turns), message]) if uses_memory else Memory((), {}, {})
    told = "".join([*memory.topics, *(n for names in memory.entities.values() for n in names), *memory.wishes])
    separators = 2 * (len(memory.topics) + len(memory.wishes) + sum(map(len, memory.entities.values())))
    left = TOKEN_BUDGET - INSTRUCTION_TOKENS - SUMMARY_TOKENS - tokens_of(message) - tokens_of(told) - separators
    while window and sum(tokens_of(t.user_message) + tokens_of(t.response_text) for t in window) > left:
        window.pop(0)
    older = turns[: len(turns) - len(window)] if uses_memory else ()
    return Context(summarize(older), tuple(window), memory, read_key(message), len(turns) + 1)
