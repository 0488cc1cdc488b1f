"""Streams of requests with a load that both arms share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollouts.judge import Requests

Random = np.random.Generator
Floats = NDArray[np.float64]

REQUESTS_PER_S = 15
STAGE_S = 3600
_STEP_S = 10
_PERSISTENCE = 0.97
_SPREAD = 0.5
_OUTAGES = 0.3
_REJECTED = 0.005


@dataclass(frozen=True)
class Stream:
    """The requests of a stage and when each began (shape: requests; seconds of the stage)."""

    at_s: Floats
    requests: Requests


def stream(
    random: Random, *, share: float, stable: float, canary: float, loaded: bool, worse_from_s: float = 0.0
) -> Stream:
    """A stage of an hour at mean error rates ``stable`` and, from ``worse_from_s`` on, ``canary``.

    With ``loaded``, arrivals, error rates and latencies of both arms follow one load: the exponential of a first-order
    autoregression (0.97 over 10 s, standard deviation 0.5) with mean 1; in three of ten stages both arms fail half of
    their requests, five times as slowly, for 20 s to 120 s.
    """
    load = _load(random) if loaded else np.ones(STAGE_S)
    outage = np.zeros(STAGE_S, dtype=bool)
    if loaded and random.random() < _OUTAGES:
        begin = int(random.integers(STAGE_S - 120))
        outage[begin : begin + int(random.integers(20, 121))] = True
    second = np.repeat(np.arange(STAGE_S), random.poisson(REQUESTS_PER_S * load))
    n = len(second)
    is_canary = random.random(n) < share
    rate = np.where(is_canary & (second >= worse_from_s), canary, stable) * load[second]
    is_error = random.random(n) < np.where(outage[second], 0.5, np.minimum(rate, 1.0))
    is_rejection = ~is_error & (random.random(n) < np.minimum(_REJECTED * load[second], 1.0))
    latency_ms = np.exp(random.normal(3.0, 0.5, n)) * load[second] * np.where(outage[second], 5.0, 1.0)
    return Stream(second.astype(float), Requests(is_canary, is_error, is_rejection, latency_ms))


def per_minute(stage: Stream) -> tuple[Floats, Floats, Floats, Floats]:
    """Canary requests, canary errors, stable requests, stable errors of each minute (shape: minutes)."""
    minute = (stage.at_s // 60).astype(np.int64)
    canary, error = stage.requests.is_canary, stage.requests.is_error
    counts = [
        np.bincount(minute[chosen], minlength=STAGE_S // 60).astype(float)
        for chosen in (canary, canary & error, ~canary, ~canary & error)
    ]
    return counts[0], counts[1], counts[2], counts[3]


def _load(random: Random) -> Floats:
    steps = STAGE_S // _STEP_S
    noise = random.normal(0.0, _SPREAD * np.sqrt(1 - _PERSISTENCE**2), steps)
    log_load = np.empty(steps)
    log_load[0] = random.normal(0.0, _SPREAD)
    for step in range(1, steps):
        log_load[step] = _PERSISTENCE * log_load[step - 1] + noise[step]
    load: Floats = np.repeat(np.exp(log_load - _SPREAD**2 / 2), _STEP_S)
    return load
