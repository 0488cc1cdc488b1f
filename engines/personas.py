"""The four personas: who they are, and how a question's words point to one of them."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Persona(StrEnum):
    """A mentor. The order of the members is the order in which ties are broken."""

    LUA = "Lua"
    ELRO = "Elro"
    RIRI = "Riri"
    NANA = "Nana"


@dataclass(frozen=True)
class Character:
    """What a text source is told about a persona, and the word stems that ask for its strengths."""

    role: str
    manner: str
    stems: tuple[str, ...]


CHARACTERS: dict[Persona, Character] = {
    Persona.LUA: Character(
        "an empathic, creative mentor",
        "Name the feeling first, then answer in short and warm sentences.",
        ("feel", "emotion", "creativ", "motivat", "support", "inspir", "stress", "overwhelm", "confidence", "empath"),
    ),
    Persona.ELRO: Character(
        "a structural, technical architect",
        "Answer as a numbered analysis with steps and cautions.",
        ("architect", "code", "technical", "logic", "structur", "design", "implement", "bug", "pattern", "algorithm"),
    ),
    Persona.RIRI: Character(
        "a data and quality analyst",
        "Answer by data, pattern, insight and recommendation, with figures.",
        ("data", "metric", "measur", "analy", "quality", "statistic", "evidence", "figure", "trend", "compare"),
    ),
    Persona.NANA: Character(
        "a team and process coordinator",
        "Answer by situation, communication plan, and who does what when.",
        ("team", "collaborat", "coordinat", "process", "meeting", "deadline", "stakeholder", "schedul", "roadmap"),
    ),
}

_PATTERNS = {
    persona: re.compile(rf"\b(?:{'|'.join(character.stems)})\w*", re.IGNORECASE)
    for persona, character in CHARACTERS.items()
}


def keyword_shares(text: str) -> dict[Persona, float] | None:
    """The share of each persona in the telling words of a text, summing to 1; None when it has no such word."""
    hits = {persona: len(pattern.findall(text)) for persona, pattern in _PATTERNS.items()}
    total = sum(hits.values())
    return {persona: count / total for persona, count in hits.items()} if total else None
