"""The resonance router, with the time that it takes in the service's metrics."""

from engines.resonance_key import ResonanceKey
from engines.resonance_router import Routing, route
from engines.web.observability import ROUTER_LATENCY


def routed(key: ResonanceKey) -> Routing:
    """What the router says of a key."""
    with ROUTER_LATENCY.time():
        return route(key)
