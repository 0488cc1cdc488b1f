"""How often each way to choose a persona is right, on the last fifth of synthetic interactions, which no model saw.

    python -m engines.accuracy --seed 2025 --users 1200 --right best --output outcomes.csv

The population is that of ``engines.synthetic``: the model is taught the first four fifths, in the order of time. Right
is, by ``--right``,

- ``best``: the persona whom this user would rate highest on average in this moment. Known because the users are
  synthetic; over all interactions held out.
- ``liked``: the persona who answered, over the interactions held out that were rated 0.7 or more. This could be known
  of real users too. The answering persona was drawn by the router's scores, which favours Phase 3.

One row is one interaction held out: its user, and 1 or 0 for each of ``random``, ``popularity`` (the persona rated best
on average), ``phase3`` (the resonance router) and ``phase4`` (the ensemble).
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from engines.personas import Persona
from engines.recommendation.ensemble import Ensemble
from engines.recommendation.interactions import LIKED_FROM, Interaction
from engines.recommendation.model import train
from engines.resonance_key import ALL_KEYS, parse
from engines.resonance_router import route
from engines.synthetic import PERSONAS, USERS, expected_ratings, interactions, tastes_of

METHODS = ("random", "popularity", "phase3", "phase4")
HELD_OUT = 0.2

_PLACE_OF_KEY = {key: place for place, key in enumerate(ALL_KEYS)}


def outcomes(seed: int, users: int, right: str) -> Iterator[tuple[str, ...]]:
    """The header, and one row per interaction held out."""
    made = population(seed, users)
    cut = round(len(made) * (1 - HELD_OUT))
    taught, held_out = made[:cut], made[cut:]
    if right == "liked":
        held_out = [one for one in held_out if one.rating >= LIKED_FROM]
    truth = _best(seed, users) if right == "best" else lambda one: one.persona
    choose = choosers(taught, seed)
    yield ("unit", *METHODS)
    for one in held_out:
        is_right = truth(one)
        yield (one.user_id, *(str(int(choose[method](one) == is_right)) for method in METHODS))


def population(seed: int, users: int) -> list[Interaction]:
    """The synthetic interactions, in the order of time."""
    rows = iter(interactions(seed, users))
    header = list(next(iter(rows)))
    user, persona, key, rating = (header.index(name) for name in ("user_id", "persona", "resonance_key", "rating"))
    return [
        Interaction(str(row[user]), Persona(str(row[persona])), parse(str(row[key])).key, float(str(row[rating])))
        for row in rows
    ]


def choosers(taught: Sequence[Interaction], seed: int) -> dict[str, Callable[[Interaction], Persona]]:
    """Each way to choose, given what may be learnt from; none looks at the answer or the rating."""
    random, model = np.random.default_rng([seed, 4]), train(taught)
    ensemble, favourite = Ensemble(model), PERSONAS[int(model.means.argmax())]
    return {
        "random": lambda _one: PERSONAS[int(random.integers(len(PERSONAS)))],
        "popularity": lambda _one: favourite,
        "phase3": lambda one: route(one.key).primary,
        "phase4": lambda one: ensemble.recommend(one.user_id, "", one.key).primary,
    }


def _best(seed: int, users: int) -> Callable[[Interaction], Persona]:
    taste = tastes_of(seed, users)

    def best(one: Interaction) -> Persona:
        user = int(one.user_id.removeprefix("user-"))
        return PERSONAS[int(expected_ratings(taste[user], _PLACE_OF_KEY[one.key]).argmax())]

    return best


def main() -> None:
    """Write the outcomes as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m engines.accuracy", description="Write who chose right.")
    parser.add_argument("--seed", type=int, default=2025)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--right", choices=["best", "liked"], default="best")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(outcomes(arguments.seed, arguments.users, arguments.right))


if __name__ == "__main__":
    main()
