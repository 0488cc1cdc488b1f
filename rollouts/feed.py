"""The requests of a router, read on from where they were last read."""

from rollouts.router import Router
from rollouts.samples import RequestSample


class Feed:
    """Begins at the end of the log: what was routed before it was opened does not count."""

    def __init__(self, router: Router) -> None:
        self._router = router
        _, self._cursor = router.requests_since(0)

    def new_requests(self) -> list[RequestSample]:
        """The requests logged since the last call, in the order in which they ended."""
        requests, self._cursor = self._router.requests_since(self._cursor)
        return requests
