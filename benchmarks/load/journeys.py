"""Our generator's users of the benchmark."""

from random import Random

from loadtests.arrivals import ArrivalUser
from loadtests.journey import Call, Journey


def _steady(_: Random) -> Journey:
    yield Call("GET", "/steady", "steady", "u")


def _stalling(_: Random) -> Journey:
    yield Call("GET", "/stalling", "stalling", "u")


class BenchmarkUser(ArrivalUser):
    """Asks one path."""

    journeys = {"steady": _steady, "stalling": _stalling}  # noqa: RUF012 - declared as ClassVar by the base
