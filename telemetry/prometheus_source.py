"""Query a Prometheus server. What it does not know, or knows as NaN, is None or nothing: never a zero."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from processes.errors import CollectError

_TIMEOUT_S = 5


@dataclass(frozen=True)
class Sample:
    """One series of an instant query; ``value`` is None where Prometheus has NaN or an infinity."""

    labels: Mapping[str, str]
    value: float | None


class PrometheusSource:
    """Instant queries to one server, with a time-out and at most two retries."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, expression: str) -> list[Sample]:
        """The series that ``expression`` gives now; empty when there are none. Raises CollectError."""
        import requests
        from prometheus_api_client.exceptions import PrometheusApiClientException

        try:
            series = self._connection.custom_query(expression)
        except (requests.RequestException, PrometheusApiClientException) as error:
            raise CollectError(f"Prometheus did not answer the query {expression!r}: {error}") from error
        if not isinstance(series, list):  # a scalar or string comes as a bare [time, value]
            raise CollectError(f"Prometheus gave no series for {expression!r}")
        if len(series) == 2 and not isinstance(series[0], dict):
            return [Sample({}, _finite(series[1]))]
        return [Sample(one["metric"], _finite(one["value"][1])) for one in series]


@contextmanager
def prometheus_source(url: str) -> Iterator[PrometheusSource]:
    """A source over a session of its own, which ignores proxies of the environment."""
    # 1 s to import: only who queries pays for it.
    import requests
    from prometheus_api_client import PrometheusConnect
    from urllib3.util import Retry

    # The library's own defaults have no time-out, and repeat reads that timed out.
    retry = Retry(total=2, read=0, backoff_factor=0.1, status_forcelist=(502, 503, 504), raise_on_status=False)
    with requests.Session() as session:
        session.trust_env = False
        yield PrometheusSource(PrometheusConnect(url=url, session=session, retry=retry, timeout=_TIMEOUT_S))


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
