"""What is learnt from interactions: user factors by a truncated SVD, and ratings of personas. Never changed later."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from engines.personas import Persona
from engines.recommendation.interactions import Interaction
from engines.resonance_key import Intent, Pace, Tone

Floats = NDArray[np.float64]

PERSONAS = tuple(Persona)
FACTORS = 10
NEIGHBOURS = 5
_SHRINKAGE = 3.0
_PARTS = (*Tone, *Pace, *Intent)
_PLACE_OF_PART = {part: place for place, part in enumerate(_PARTS)}
_PLACE_OF_PERSONA = {persona: place for place, persona in enumerate(PERSONAS)}


@dataclass(frozen=True)
class Model:
    """``ratings``: each user's rating of each persona, drawn to the persona's mean where seldom given (users, 4).

    ``factors``: unit vectors of users (users, 10). ``parts``: how often each tone, pace and intent was a user's (users,
    19; each row sums to 1 per kind of part). ``means``: the mean rating of each persona (4).
    """

    version: str
    places: dict[str, int]
    ratings: Floats
    factors: Floats
    parts: Floats
    means: Floats

    def neighbours_ratings(self, user_id: str) -> Floats | None:
        """The similarity-weighted mean of the five most similar users' ratings; None for a user not learnt from."""
        place = self.places.get(user_id)
        if place is None:
            return None
        similarity = self.factors @ self.factors[place]
        similarity[place] = -1.0
        nearest = np.argpartition(similarity, -NEIGHBOURS)[-NEIGHBOURS:]
        weights = np.clip(similarity[nearest], 0.0, None)
        if weights.sum() <= 0:
            return None
        mean: Floats = weights @ self.ratings[nearest] / weights.sum()
        return mean


def train(interactions: Sequence[Interaction], *, seed: int = 0) -> Model:
    """Learn a model. Raises ValueError when there are too few users for the factors."""
    users = sorted({interaction.user_id for interaction in interactions})
    if len(users) <= FACTORS:
        raise ValueError(f"{len(users)} users are too few to learn {FACTORS} factors from")
    places = {user: place for place, user in enumerate(users)}
    rows = np.array([places[i.user_id] for i in interactions])
    personas = np.array([_PLACE_OF_PERSONA[i.persona] for i in interactions])
    values = np.array([i.rating for i in interactions])
    parts = np.array([[_PLACE_OF_PART[part] for part in (i.key.tone, i.key.pace, i.key.intent)] for i in interactions])
    means = _means(personas, values)
    return Model(
        version=f"ensemble_v1-{len(interactions)}",
        places=places,
        ratings=_shrunk_ratings(rows, personas, values, means, len(users)),
        factors=_factors(rows, personas, parts, values - means[personas], len(users), seed),
        parts=_part_shares(rows, parts, len(users)),
        means=means,
    )


def _means(personas: NDArray[np.int64], values: Floats) -> Floats:
    overall = values.mean()
    return np.array([values[personas == p].mean() if (personas == p).any() else overall for p in range(len(PERSONAS))])


def _shrunk_ratings(
    rows: NDArray[np.int64], personas: NDArray[np.int64], values: Floats, means: Floats, users: int
) -> Floats:
    sums, counts = np.zeros((users, len(PERSONAS))), np.zeros((users, len(PERSONAS)))
    np.add.at(sums, (rows, personas), values)
    np.add.at(counts, (rows, personas), 1.0)
    ratings: Floats = (sums + _SHRINKAGE * means) / (counts + _SHRINKAGE)
    return ratings


def _factors(
    rows: NDArray[np.int64],
    personas: NDArray[np.int64],
    parts: NDArray[np.int64],
    residuals: Floats,
    users: int,
    seed: int,
) -> Floats:
    """Unit user vectors of a truncated SVD of users by (persona, part), filled with sums of residual ratings."""
    columns = (personas[:, None] * len(_PARTS) + parts).ravel()
    shape = (users, len(PERSONAS) * len(_PARTS))
    matrix = csr_matrix((np.repeat(residuals, 3), (np.repeat(rows, 3), columns)), shape=shape)
    start = np.random.default_rng(seed).normal(size=min(shape))
    left, singular, _ = svds(matrix, k=FACTORS, v0=start)
    vectors: Floats = left * singular
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def _part_shares(rows: NDArray[np.int64], parts: NDArray[np.int64], users: int) -> Floats:
    counts = np.zeros((users, len(_PARTS)))
    np.add.at(counts, (np.repeat(rows, 3), parts.ravel()), 1.0)
    totals = counts.sum(axis=1, keepdims=True) / 3
    return counts / np.where(totals > 0, totals, 1.0)
