"""What is learnt from interactions: factors of users and items, and ratings of personas. Never changed later."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from scipy.spatial import cKDTree

from engines.affinities import INTENT_AFFINITIES, PACE_AFFINITIES, TONE_AFFINITIES
from engines.personas import Persona
from engines.recommendation.interactions import Interaction
from engines.resonance_key import ALL_KEYS, Intent, Pace, Tone

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

PERSONAS = tuple(Persona)
FACTORS = 10
NEIGHBOURS = 5
SHRINKAGE = 3.0
"""A rating is drawn to the persona's mean as if that had been given three times."""

_PARTS = (*Tone, *Pace, *Intent)
_PLACE_OF_PART = {part: place for place, part in enumerate(_PARTS)}
_PLACE_OF_PERSONA = {persona: place for place, persona in enumerate(PERSONAS)}
_PLACE_OF_KEY = {key: place for place, key in enumerate(ALL_KEYS)}
_PARTS_OF_KEY = np.array([[_PLACE_OF_PART[part] for part in (key.tone, key.pace, key.intent)] for key in ALL_KEYS])
_TRAITS = np.array(
    [
        *(TONE_AFFINITIES[tone] for tone in Tone),
        *(PACE_AFFINITIES[pace] for pace in Pace),
        *(INTENT_AFFINITIES[intent] for intent in Intent),
    ]
)
_PART_WEIGHTS = np.array([0.5] * len(Tone) + [0.3] * len(Pace) + [0.2] * len(Intent))


@dataclass(frozen=True)
class Model:
    """All arrays have a row per user, in the order of ``places``, and (but for the factors) a column per persona.

    ``ratings``: each user's rating, drawn to ``means`` where seldom given; ``counts``: how often it was given.
    ``neighbours``: the rating by the five most similar users together; NaN where nobody is similar.
    ``usual``: how well the persona suits the moments that the user usually has. ``likeness``: how near the persona is
    to the user in the space of factors, 0 to 1. ``factors``: unit vectors of users (users, 10); ``item_factors``: of
    the (persona, part of a key) pairs (76, 10).
    """

    version: str
    places: dict[str, int]
    means: Floats
    ratings: Floats
    counts: Floats
    neighbours: Floats
    usual: Floats
    likeness: Floats
    factors: Floats
    item_factors: Floats


def train(interactions: Sequence[Interaction], *, seed: int = 0) -> Model:
    """Learn a model; the same interactions and seed give the same one.

    Raises ValueError when there are too few users for the factors.
    """
    places: dict[str, int] = {}
    rows = np.array([places.setdefault(i.user_id, len(places)) for i in interactions], dtype=np.int64)
    if len(places) <= FACTORS:
        raise ValueError(f"{len(places)} users are too few to learn {FACTORS} factors from")
    personas = np.array([_PLACE_OF_PERSONA[i.persona] for i in interactions])
    keys = np.array([_PLACE_OF_KEY[i.key] for i in interactions])
    values = np.array([i.rating for i in interactions])
    means = _means(personas, values)
    residuals = values - means[personas]
    cells, shape = rows * len(PERSONAS) + personas, (len(places), len(PERSONAS))
    sums, counts = _by_cell(cells, residuals, shape), _by_cell(cells, np.ones(len(cells)), shape)
    factors, item_factors = _factorize(rows, personas, keys, residuals, len(places), seed)
    return Model(
        version=f"ensemble_v1-{len(interactions)}-{_digest(places, rows, personas, keys, values)}",
        places=places,
        means=means,
        ratings=means + sums / (counts + SHRINKAGE),
        counts=counts,
        neighbours=_by_neighbours(factors, sums, counts, means),
        usual=_usual(rows, keys, len(places)),
        likeness=_likeness(factors, item_factors),
        factors=factors,
        item_factors=item_factors,
    )


def _means(personas: Places, values: Floats) -> Floats:
    overall = values.mean()
    return np.array([values[personas == p].mean() if (personas == p).any() else overall for p in range(len(PERSONAS))])


def _by_cell(cells: Places, weights: Floats, shape: tuple[int, int]) -> Floats:
    return np.asarray(np.bincount(cells, weights, minlength=shape[0] * shape[1]), dtype=float).reshape(shape)


def _factorize(
    rows: Places, personas: Places, keys: Places, residuals: Floats, users: int, seed: int
) -> tuple[Floats, Floats]:
    """A truncated SVD of users by (persona, part), filled with sums of residual ratings: unit user vectors, items."""
    columns = (personas[:, None] * len(_PARTS) + _PARTS_OF_KEY[keys]).ravel()
    shape = (users, len(PERSONAS) * len(_PARTS))
    matrix = csr_matrix((np.repeat(residuals, 3), (np.repeat(rows, 3), columns)), shape=shape)
    start = np.random.default_rng(seed).normal(size=min(shape))
    left, singular, right = svds(matrix, k=FACTORS, v0=start)
    return _unit(left * singular), right.T


def _by_neighbours(factors: Floats, sums: Floats, counts: Floats, means: Floats) -> Floats:
    """The ratings of the nearest users as if they were one user: a rating weighs as much as its user is similar.

    Similarity is the cosine, c = 1 - d²/2 for unit vectors at distance d; who points the other way is not similar.
    """
    distances, nearest = cKDTree(factors).query(factors, k=NEIGHBOURS + 1)
    weights = np.clip(1 - distances**2 / 2, 0.0, None)
    weights[nearest == np.arange(len(factors))[:, None]] = 0.0  # not the user's own
    # Of several users at one point the user himself may not be among those found: then the last one is one too many.
    weights[:, -1][(weights > 0).all(axis=1)] = 0.0
    nowhere = (factors == 0).all(axis=1)  # of whom nothing is known but the mean
    weights[nowhere] = 0.0
    weights[nowhere[nearest]] = 0.0
    weighed = np.einsum("uk,ukp->up", weights, counts[nearest])
    ratings = means + np.einsum("uk,ukp->up", weights, sums[nearest]) / (weighed + SHRINKAGE)
    ratings[weights.sum(axis=1) == 0] = np.nan
    return np.asarray(ratings)


def _usual(rows: Places, keys: Places, users: int) -> Floats:
    """0.5 tone + 0.3 pace + 0.2 intent of each persona's traits, over how often each part was a user's."""
    cells = (np.repeat(rows, 3) * len(_PARTS)) + _PARTS_OF_KEY[keys].ravel()
    shares = np.bincount(cells, minlength=users * len(_PARTS)).reshape(users, len(_PARTS))
    moments = np.bincount(rows, minlength=users)[:, None]
    usual: Floats = (shares / moments * _PART_WEIGHTS) @ _TRAITS
    return usual


def _likeness(factors: Floats, item_factors: Floats) -> Floats:
    """The cosine of a user and a persona, whose vector is the sum of its items', moved from -1..1 to 0..1."""
    personas = _unit(item_factors.reshape(len(PERSONAS), len(_PARTS), -1).sum(axis=1))
    return np.clip((1 + factors @ personas.T) / 2, 0.0, 1.0)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.where(lengths > 0, lengths, 1.0)
    return unit


def _digest(places: dict[str, int], *arrays: NDArray[np.generic]) -> str:
    """Eight characters that name what was learnt from."""
    digest = hashlib.blake2b("\n".join(places).encode(), digest_size=4)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
