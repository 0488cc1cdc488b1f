"""The largest model there can be: of as many users as there is feedback to learn from, each with one rating."""

import pickle
import resource
import time
from pathlib import Path

import numpy as np
import psutil

from engines.recommendation.feedback_store import MOST_KEPT
from engines.recommendation.interactions import Interaction, read_interactions
from engines.recommendation.model import PERSONAS, Model, train
from engines.resonance_key import ALL_KEYS

_LONGEST_ID = 128
MOST_SECONDS = 60.0


def largest(folder: Path) -> bool:
    """Print what was measured; returns whether a model is taught in a minute of processor time."""
    began_s = time.process_time()
    model = taught(folder)
    seconds = time.process_time() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    users, packed = len(model.places), pickle.dumps(model)
    del model
    before = psutil.Process().memory_info().rss
    again = pickle.loads(packed)
    size_mb = (psutil.Process().memory_info().rss - before) / 1e6
    assert len(again.places) == users
    print(f"a model of {users:,} users takes {size_mb:.0f} MB, and teaching it {peak_mb:.0f} MB and {seconds:.1f} s")
    holds = seconds < MOST_SECONDS
    print(f"{'holds' if holds else 'DOES NOT HOLD'}: taught within {MOST_SECONDS:g} s")
    return holds


def taught(folder: Path) -> Model:
    """A model of the interactions in the folder and the most feedback."""
    random = np.random.default_rng(6)
    drawn = zip(
        random.integers(len(PERSONAS), size=MOST_KEPT),
        random.integers(len(ALL_KEYS), size=MOST_KEPT),
        random.random(MOST_KEPT),
        strict=True,
    )
    feedback = [
        Interaction(f"{number:0{_LONGEST_ID}d}", PERSONAS[persona], ALL_KEYS[key], float(rating))
        for number, (persona, key, rating) in enumerate(drawn)
    ]
    return train([*read_interactions(folder / "interactions.csv"), *feedback])
