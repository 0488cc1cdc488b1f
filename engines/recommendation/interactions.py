"""Interactions as the model learns from them."""

import csv
from dataclasses import dataclass
from pathlib import Path

from engines.personas import Persona
from engines.resonance_key import ResonanceKey, parse, validate


@dataclass(frozen=True)
class Interaction:
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
        return [_interaction(row, number) for number, row in enumerate(csv.DictReader(file), start=2)]


def _interaction(row: dict[str, str], number: int) -> Interaction:
    rating = float(row["rating"])
    if not 0 <= rating <= 1 or not validate(row["resonance_key"]):
        raise ValueError(f"row {number}: rating {row['rating']} of key {row['resonance_key']} is out of range")
    return Interaction(row["user_id"], Persona(row["persona"]), parse(row["resonance_key"]).key, rating)
