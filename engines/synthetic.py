"""Synthetic interactions, conversations and A/B records, from a seed: no real user is in them.

    python -m engines.synthetic --seed 2025 --output releases/ion-phase4/data
    python -m engines.synthetic --users 10000 --output larger

Every user belongs to one of eight groups with a common taste in personas, and has a taste of his own around it. A
rating is made of that taste and of how well the persona suits the moment's resonance key, plus noise: an ensemble that
learns users can therefore do better than the router, which knows the key alone. How much better is measured.
"""

import argparse
import csv
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.personas import Persona
from engines.resonance_key import ALL_KEYS
from engines.resonance_router import route

Floats = NDArray[np.float64]

PERSONAS = tuple(Persona)
KEY_SCORES = np.array([[route(key).scores[persona] for persona in PERSONAS] for key in ALL_KEYS])
USERS, CONVERSATIONS, AB_USERS = 1200, 1500, 2400
INTERACTIONS_EACH = 15
_GROUPS = 8
_BEGIN = datetime(2025, 7, 1, tzinfo=UTC)
_TASTE_WEIGHT, _KEY_WEIGHT, _NOISE = 0.55, 0.35, 0.10
_ACCURACY = {"control": 0.42, "treatment": 0.48}

Row = Sequence[object]


def tastes(random: np.random.Generator, users: int) -> Floats:
    """How much each user likes each persona, from 0 to 1 (shape: users, personas)."""
    groups = random.uniform(0, 1, (_GROUPS, len(PERSONAS)))
    member = random.integers(_GROUPS, size=users)
    taste: Floats = np.clip(groups[member] + random.normal(0, 0.12, (users, len(PERSONAS))), 0, 1)
    return taste


def tastes_of(seed: int, users: int = USERS) -> Floats:
    """The tastes behind the interactions of a seed, which no model is told (shape: users, personas)."""
    return tastes(np.random.default_rng([seed, 1]), users)


def expected_ratings(taste: Floats, key: int) -> Floats:
    """What users of this taste would rate the personas on average in the moment ``ALL_KEYS[key]``, from 0 to 1."""
    ratings: Floats = _TASTE_WEIGHT * taste + _KEY_WEIGHT * KEY_SCORES[key]
    return ratings


def interactions(seed: int, users: int = USERS) -> Iterable[Row]:
    """Rows of interactions.csv, in the order of time: 15 for each user on average."""
    random = np.random.default_rng([seed, 1])
    taste = tastes(random, users)
    yield ("interaction_id", "user_id", "timestamp", "persona", "resonance_key", "rating", "satisfaction",
           "session_duration_s", "completed", "follow_up_count", "feedback")  # fmt: skip
    at = _BEGIN
    for number in range(users * INTERACTIONS_EACH):
        at += timedelta(seconds=float(random.exponential(400)))
        user, key = int(random.integers(users)), int(random.integers(len(ALL_KEYS)))
        weights = np.exp(4 * KEY_SCORES[key])
        persona = int(random.choice(len(PERSONAS), p=weights / weights.sum()))
        mean = expected_ratings(taste[user], key)[persona]
        satisfaction = int(np.clip(round(100 * (mean + random.normal(0, _NOISE))), 0, 100))
        completed = int(random.random() < 0.3 + 0.6 * satisfaction / 100)
        feedback = "" if random.random() < 0.4 else f"{np.clip(satisfaction / 50 - 1, -1, 1):.2f}"
        yield (f"i{number:06d}", f"user-{user:05d}", _text(at), PERSONAS[persona], str(ALL_KEYS[key]),
               f"{satisfaction / 100:.2f}", satisfaction, round(float(random.gamma(2, 60)) % 7200, 1), completed,
               int(random.poisson(1.2)), feedback)  # fmt: skip


def conversations(seed: int) -> Iterable[Row]:
    """Rows of conversations.csv."""
    random = np.random.default_rng([seed, 2])
    yield ("session_id", "user_id", "persona", "state", "turn_count", "token_count", "created_at", "last_activity_at",
           "closed_at", "text_source")  # fmt: skip
    for number in range(CONVERSATIONS):
        created = _BEGIN + timedelta(seconds=float(random.uniform(0, 90 * 86400)))
        turns = int(random.integers(1, 11))
        active = created + timedelta(seconds=float(turns * random.uniform(20, 180)))
        state = str(random.choice(["completed", "expired", "active"], p=[0.7, 0.25, 0.05]))
        closed = _text(active + timedelta(seconds=30)) if state == "completed" else ""
        session = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=16).hexdigest()
        user = int(random.integers(USERS))
        tokens = min(3000, turns * int(random.integers(60, 280)))
        yield (session, f"user-{user:05d}", str(random.choice(list(PERSONAS))), state, turns, tokens, _text(created),
               _text(active), closed, "api" if random.random() < 0.9 else "template")  # fmt: skip


def ab_records(seed: int) -> Iterable[Row]:
    """Rows of ab_records.csv: one user a row, in the arm that the salted hash of the user says."""
    random = np.random.default_rng([seed, 3])
    yield ("user_id", "arm", "assigned_at", "slot", "accurate", "satisfaction", "session_duration_s", "completed",
           "adopted", "returned")  # fmt: skip
    for number in range(AB_USERS):
        user = f"ab-user-{number:05d}"
        digest = hashlib.blake2b(user.encode(), key=b"ab-2025-10", digest_size=8).digest()
        slot = int.from_bytes(digest, "big") % 10_000
        arm = "treatment" if slot >= 5000 else "control"
        better = arm == "treatment"
        at = _BEGIN + timedelta(days=100, seconds=float(random.uniform(0, 14 * 86400)))
        yield (user, arm, _text(at), slot, int(random.random() < _ACCURACY[arm]),
               f"{np.clip(random.normal(4.45 if better else 4.2, 0.5), 1, 5):.2f}",
               round(float(random.gamma(2, 120 if better else 80)) % 7200, 1),
               int(random.random() < (0.47 if better else 0.35)), int(random.random() < (0.5 if better else 0.35)),
               int(random.random() < (0.55 if better else 0.45)))  # fmt: skip


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def write(seed: int, output: Path, users: int = USERS) -> None:
    """Write the three files; the same seed gives the same bytes. ``users`` are those of the interactions."""
    output.mkdir(parents=True, exist_ok=True)
    made = {
        "interactions": interactions(seed, users),
        "conversations": conversations(seed),
        "ab_records": ab_records(seed),
    }
    for name, rows in made.items():
        with (output / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def main() -> None:
    """Write synthetic data as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m engines.synthetic", description="Write synthetic data.")
    parser.add_argument("--seed", type=int, default=2025)
    parser.add_argument("--users", type=int, default=USERS, help="of the interactions")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    write(arguments.seed, arguments.output, arguments.users)


if __name__ == "__main__":
    main()
