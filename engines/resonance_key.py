"""The grammar of resonance keys, ``tone-pace-intent``: one parser, and a validator that is defined by it."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product


class Tone(StrEnum):
    """How a message sounds."""

    FRUSTRATED = "frustrated"
    PLAYFUL = "playful"
    ANXIOUS = "anxious"
    ANALYTICAL = "analytical"
    CALM = "calm"
    CURIOUS = "curious"
    URGENT = "urgent"
    CONFUSED = "confused"
    COLLABORATIVE = "collaborative"


class Pace(StrEnum):
    """How fast a message moves."""

    BURST = "burst"
    FLOWING = "flowing"
    CONTEMPLATIVE = "contemplative"
    MEDIUM = "medium"


class Intent(StrEnum):
    """What a message wants."""

    SEEK_ADVICE = "seek_advice"
    PROBLEM_SOLVING = "problem_solving"
    LEARNING = "learning"
    VALIDATION = "validation"
    PLANNING = "planning"
    REFLECTION = "reflection"


@dataclass(frozen=True)
class ResonanceKey:
    """A key of three known parts; ``str()`` gives its canonical form."""

    tone: Tone
    pace: Pace
    intent: Intent

    def __str__(self) -> str:
        return f"{self.tone}-{self.pace}-{self.intent}"


@dataclass(frozen=True)
class ParsedKey:
    """A key, and the parts (``tone``, ``pace``, ``intent``) that were not known and fell back to the default."""

    key: ResonanceKey
    fallbacks: tuple[str, ...] = ()


DEFAULT_KEY = ResonanceKey(Tone.CALM, Pace.MEDIUM, Intent.LEARNING)
INTENT_ALIASES = {"seeking_advice": Intent.SEEK_ADVICE}
"""Names that older versions wrote. Their inquiry, statement and expressive have no counterpart: they are not known."""

ALL_KEYS = tuple(ResonanceKey(*parts) for parts in product(Tone, Pace, Intent))

_TONES = {tone.value: tone for tone in Tone}
_PACES = {pace.value: pace for pace in Pace}
_INTENTS = {intent.value: intent for intent in Intent} | INTENT_ALIASES


def parse(text: str | None) -> ParsedKey:
    """Read a key leniently: every part that is not known falls back alone, and is named in ``fallbacks``.

    The text is split at its first two dashes only, because an intent may contain one (``problem-solving``).
    """
    parts = [*(text or "").split("-", 2), "", ""]
    return parse_parts(parts[0], parts[1], parts[2])


def parse_parts(tone: str | None, pace: str | None, intent: str | None) -> ParsedKey:
    """The same for parts that come one by one; a missing part counts as not known."""
    known_tone = _TONES.get(_folded(tone))
    known_pace = _PACES.get(_folded(pace))
    known_intent = _INTENTS.get(_folded(intent).replace("-", "_"))
    named = (("tone", known_tone), ("pace", known_pace), ("intent", known_intent))
    key = ResonanceKey(
        known_tone or DEFAULT_KEY.tone, known_pace or DEFAULT_KEY.pace, known_intent or DEFAULT_KEY.intent
    )
    return ParsedKey(key, tuple(name for name, known in named if known is None))


def validate(text: str | None) -> bool:
    """Whether a text is a key: true exactly when parsing it needs no fallback."""
    return not parse(text).fallbacks


def _folded(part: str | None) -> str:
    text = (part or "").strip()
    return text.lower() if text.isascii() else ""  # the sign for kelvin is a k in lower case, and no letter of a key
