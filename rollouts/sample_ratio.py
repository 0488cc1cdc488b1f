"""Whether the router exposes as many users as it was told: a split that differs makes every comparison worthless."""

from collections.abc import Iterable

from rollouts.requests import Request

STANDARD_ERRORS = 6.0
"""So far off the expected number of users by chance once in a thousand million looks: looking often costs nothing."""

_USERS_AT_LEAST = 200


def split_is_off(requests: Iterable[Request], share: float) -> str | None:
    """How the share of users in the canary differs from ``share``, in words; None when chance explains it."""
    arm_of: dict[str, str] = {}
    for request in requests:
        if arm_of.setdefault(request.user, request.arm) != request.arm:
            return f"user {request.user} saw both versions within one stage"
    users, exposed = len(arm_of), sum(arm == "canary" for arm in arm_of.values())
    if users < _USERS_AT_LEAST or not 0 < share < 1:
        return None
    expected, error = users * share, (users * share * (1 - share)) ** 0.5
    if abs(exposed - expected) <= STANDARD_ERRORS * error:
        return None
    return f"{exposed} of {users} users saw the canary, {expected:.0f} were to"
