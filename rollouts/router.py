"""What a traffic router does for a rollout."""

from typing import Protocol

from rollouts.samples import RequestSample


class Router(Protocol):
    """Splits users between stable and canary by ``assignment`` and logs every request.

    While the lease is not renewed, or the candidate accepts no connection, everyone is on stable. Methods raise
    ProcessError when the router cannot be reached or does not do as told.
    """

    @property
    def url(self) -> str:
        """Where users send their requests; no trailing slash."""

    @property
    def kind(self) -> str:
        """``haproxy`` or ``embedded``."""

    @property
    def version(self) -> str:
        """The program that routes, with its version."""

    def set_share(self, slots: int, salt: str | None = None) -> None:
        """Expose the users of ``slots`` of 10,000 slots under ``salt`` (None: as before); holds on return."""

    def renew_lease(self) -> None:
        """Allow canary traffic for the next 1.8 s."""

    def requests_since(self, cursor: int) -> tuple[list[RequestSample], int]:
        """Requests logged after ``cursor`` (0: all), in the order in which they ended, and the next cursor."""

    def close(self) -> None:
        """Stop routing. Closing twice is fine."""
