"""Users whose journeys are carried out at the arrivals of the open model. Runs inside the Locust process only."""

import json
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

from locust import FastHttpUser

from loadtests.journey import Answer, Call, Journey, MakeJourney
from loadtests.open_model import Arrival, Member, Run
from loadtests.settings import ANSWER_WITHIN_S

_BEGUN_ANEW_AT_MOST = 10
"""A journey that ends before its first request is begun anew so often in one arrival."""


class ArrivalUser(FastHttpUser):
    """Base of a locustfile's user: a member of the pool that carries out arrivals. Subclasses fill ``journeys``."""

    abstract = True
    journeys: ClassVar[dict[str, MakeJourney]] = {}
    connection_timeout = network_timeout = ANSWER_WITHIN_S
    max_retries = 0
    max_redirects = 0

    def ask(self, call: Call) -> tuple[Answer, str | None]:
        """Make one request; returns the answer, and what went wrong when there was none."""
        headers = {"X-User-Id": call.user_id}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        with self.client.request(
            call.method,
            call.path,
            name=call.name,
            data=call.body,
            json=call.json,
            headers=headers,
            catch_response=True,
        ) as response:
            status = int(response.status_code or 0)
            body = _json_object(response.text) if 200 <= status < 300 else {}
            response.success()  # Locust's own totals are not used; ours are in the windows
            return Answer(status, body), type(response.error).__name__ if status == 0 else None


def journey_member(user_class: type[ArrivalUser], journey: str, environment: Any) -> Callable[[Run], Member]:
    """What makes members of the pool that go on journeys: one request at each arrival.

    A journey that raises, or has no request to make, is an error of its own; the next arrival begins another.
    """

    def make_member(run: Run) -> Member:
        user, make = user_class(environment), user_class.journeys[journey]
        under_way: Journey | None = None
        answer: Answer | None = None

        def carry_out(arrival: Arrival) -> None:
            nonlocal under_way, answer
            try:
                call, under_way = _next_call(run, under_way, answer, make)
                answer, error = user.ask(call)
                _record(run, call, answer.status, error, run.now_s() - arrival.intended_s)
            except Exception as failure:  # noqa: BLE001 - a locustfile may raise anything, and the load goes on
                under_way = answer = None
                record_broken(run, f"journey {journey}", failure)

        return carry_out

    return make_member


def _next_call(run: Run, under_way: Journey | None, answer: Answer | None, make: MakeJourney) -> tuple[Call, Journey]:
    """The next call of the journey, or the first of a new one. Raises what the journey raises."""
    if under_way is not None and answer is not None:
        try:
            return under_way.send(answer), under_way
        except StopIteration:
            pass  # the journey is at its end: a new user arrives
    for _ in range(_BEGUN_ANEW_AT_MOST):
        journey = make(run.random_of_next_journey())
        for call in journey:
            return call, journey
    raise ValueError(f"ended {_BEGUN_ANEW_AT_MOST} times in a row before its first request")


def record_broken(run: Run, what: str, failure: Exception) -> None:
    """Count what a locustfile raised outside of its requests as an error; the first of a window is shown in full."""
    run.window.broken(f"{what}: {type(failure).__name__}: {failure}")
    if run.window.counts["errors"] == 1:
        traceback.print_exception(failure)


def _record(run: Run, call: Call, status: int, error: str | None, latency_s: float) -> None:
    if status == 429:
        run.window.limited(call.name, latency_s)
    elif status in call.expect:
        run.window.good(call.name, latency_s, status)
    else:
        run.window.bad(call.name, latency_s, error or f"status {status}")


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
