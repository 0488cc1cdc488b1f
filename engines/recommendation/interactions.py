"""Interactions as the model learns from them."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from engines.personas import Persona
from engines.resonance_key import ResonanceKey, parse

LIKED_FROM = 0.7
"""The rating, of 0 to 1, from which on an answer was liked."""

_COLUMNS = ("user_id", "persona", "resonance_key", "rating")
_PERSONAS = {persona.value: persona for persona in Persona}


class Interaction(NamedTuple):
    """A user was answered by a persona in a moment, and rated that from 0 to 1."""

    user_id: str
    persona: Persona
    key: ResonanceKey
    rating: float


def read_interactions(path: Path) -> list[Interaction]:
    """Read a CSV file with the columns user_id, persona, resonance_key and rating.

    Raises ValueError, naming the row, for a value out of range: a model is not taught nonsense.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if missing := [name for name in _COLUMNS if name not in header]:
            raise ValueError(f"{path}: no column {', '.join(missing)}")
        try:
            return list(_interactions(rows, [header.index(name) for name in _COLUMNS]))
        except ValueError as error:
            raise ValueError(f"{path}: row {rows.line_num}: {error}") from error


def _interactions(rows: Iterator[Sequence[str]], columns: Sequence[int]) -> Iterator[Interaction]:
    """Each text of a key is parsed once, and each name kept once: a service waits for this when it starts."""
    keys: dict[str, ResonanceKey] = {}
    names: dict[str, str] = {}
    user_at, persona_at, key_at, rating_at = columns
    for row in rows:
        try:
            name, persona_text, key_text, rating = row[user_at], row[persona_at], row[key_at], float(row[rating_at])
        except IndexError:
            raise ValueError("it is too short") from None
        key = keys.get(key_text) or keys.setdefault(key_text, _valid_key(key_text))
        persona = _PERSONAS.get(persona_text)
        if persona is None or not 0 <= rating <= 1:
            raise ValueError(f"rating {rating} of persona {persona_text!r} is out of range")
        yield Interaction(names.setdefault(name, name), persona, key, rating)


def _valid_key(text: str) -> ResonanceKey:
    parsed = parse(text)
    if parsed.fallbacks:
        raise ValueError(f"{text!r} is no resonance key")
    return parsed.key
