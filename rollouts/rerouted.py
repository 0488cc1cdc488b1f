"""Whether the candidate can be reached at all: a router sends its users to stable while it cannot.

They are served, so that nothing looks wrong, and the judge goes on to judge the candidate by its past.
"""

from collections.abc import Sequence
from itertools import takewhile

from rollouts.samples import RequestSample
from rollouts.stage import Step

_REQUESTS = 10


def reached(step: Step, requests: Sequence[RequestSample], leased_since_s: float, patience_s: float) -> Step:
    """The step itself, if the candidate can be reached; else no promotion, and after ``patience_s`` a freeze.

    It cannot when the last ten or more requests of its users went to stable although the lease held. ``requests`` are
    in the order in which they ended.
    """
    if step.action not in ("promote", "wait"):
        return step
    meant = (r for r in reversed(requests) if r.assigned == "canary" and r.at_s >= leased_since_s)
    away = [request.at_s for request in takewhile(lambda request: request.backend == "stable", meant)]
    if len(away) < _REQUESTS:
        return step
    for_s = max(away) - min(away)
    why = (
        f"the candidate cannot be reached: the last {len(away)} requests of its users went to stable, in {for_s:.0f} s"
    )
    return Step("freeze" if for_s > patience_s else "wait", why, step.metrics)
