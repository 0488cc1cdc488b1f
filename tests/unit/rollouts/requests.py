"""Requests as a router would have logged them."""

import numpy as np

from decision.objectives import Objective, Slo
from rollouts.samples import RequestSample

SLO: Slo = {
    "error-rate": Objective.model_validate(
        {
            "unit": "ratio",
            "promote_at_most": "0.5%",
            "roll_back_above": "1%",
            "for": "3 windows",
            "roll_back_at_once_above": "5%",
            "at_least_requests": 100,
            "worse_than_stable_by": "0.5pp",
        }
    ),
    "latency-p95": Objective.model_validate(
        {
            "unit": "ms",
            "promote_at_most": 200,
            "roll_back_above": 500,
            "for": "3 windows",
            "worse_than_stable_by": "10%",
        }
    ),
    "memory": Objective.model_validate({"unit": "ratio", "roll_back_above": "85%", "for": "2 windows"}),
    "cpu": Objective.model_validate({"unit": "ratio", "roll_back_above": "80%", "for": "3 windows"}),
    "availability": Objective.model_validate({"unit": "ratio", "roll_back_below": "99%"}),
    "consecutive-failures": Objective.model_validate({"unit": "count", "roll_back_above": 9}),
}


def routed(
    count: int,
    *,
    share: float = 0.05,
    seed: int = 0,
    canary_errors: float = 0.0,
    stable_errors: float = 0.0,
    canary_ms: float = 5.0,
    stable_ms: float = 5.0,
) -> list[RequestSample]:
    random = np.random.default_rng(seed)
    requests = []
    for n in range(count):
        canary = bool(random.random() < share)
        arm = "canary" if canary else "stable"
        failed = random.random() < (canary_errors if canary else stable_errors)
        latency_ms = float(random.lognormal(0, 0.3)) * (canary_ms if canary else stable_ms)
        requests.append(RequestSample(n / 100, arm, 500 if failed else 200, latency_ms, f"{arm}-{n}", arm))
    return requests
