"""What a conversation keeps: the last five turns word for word, a summary of those before, and what they were about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engines.text_reading import read_entities, read_preferences, read_topics

WINDOW = 5
MOST_TURNS = 10
TOKEN_BUDGET = 3000
_SUMMARY_BULLETS = 8
_BULLET_CHARACTERS = 160
_MOST_TOPICS = 20


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    number: int
    user_message: str
    response_text: str


@dataclass(frozen=True)
class Memory:
    """Topics (oldest first, each once), entities by category, and stated preferences."""

    topics: tuple[str, ...]
    entities: dict[str, tuple[str, ...]]
    preferences: dict[str, Any]


def remember(messages: Sequence[str]) -> Memory:
    """What the user's messages were about, oldest first; of contradictory wishes the last one counts."""
    topics: dict[str, None] = {}
    entities: dict[str, dict[str, None]] = {}
    preferences: dict[str, Any] = {}
    for message in messages:
        topics |= dict.fromkeys(read_topics(message))
        for category, names in read_entities(message).items():
            entities.setdefault(category, {}).update(dict.fromkeys(names))
        preferences |= read_preferences(message)
    kept = list(topics)[-_MOST_TOPICS:]
    return Memory(tuple(kept), {name: tuple(found) for name, found in entities.items()}, preferences)


def summarize(turns: Sequence[Turn]) -> str:
    """One bullet per message, newest kept when there are too many, each cut to 160 characters."""
    bullets: list[str] = []
    for turn in turns:
        for speaker, text in (("U", turn.user_message), ("A", turn.response_text)):
            bullet = f"{speaker}: {' '.join(text.split())}"[:_BULLET_CHARACTERS]
            if bullet in bullets:
                bullets.remove(bullet)
            bullets.append(bullet)
    return "\n".join(f"- {bullet}" for bullet in bullets[-_SUMMARY_BULLETS:])


def tokens_of(text: str) -> int:
    """A count of tokens without a tokenizer: four characters each, rounded up."""
    return -(-len(text) // 4)


@dataclass(frozen=True)
class Context:
    """What goes into a prompt, within the budget, and how it is told to the caller."""

    summary: str
    turns: tuple[Turn, ...]
    memory: Memory

    @property
    def used(self) -> str:
        """What was really used, in words."""
        entities = [name for names in self.memory.entities.values() for name in names]
        wishes = [f"{name}: {value}" for name, value in self.memory.preferences.items()]
        summarized = " Summary of earlier turns." if self.summary else ""
        return (
            f"Topics: [{', '.join(self.memory.topics)}]. Entities: [{', '.join(entities)}]. "
            f"User preferences: [{', '.join(wishes)}]. Turns: {len(self.turns)}.{summarized}"
        )


def context_of(turns: Sequence[Turn], message: str) -> Context:
    """The context of the next message: a five-turn window, cut from the oldest until it is within the budget."""
    memory = remember([*(turn.user_message for turn in turns), message])
    summary = summarize(turns[:-WINDOW]) if len(turns) > WINDOW else ""
    window = list(turns[-WINDOW:])
    left = TOKEN_BUDGET - tokens_of(message) - tokens_of(summary)
    while window and sum(tokens_of(t.user_message) + tokens_of(t.response_text) for t in window) > left:
        window.pop(0)
    return Context(summary, tuple(window), memory)
