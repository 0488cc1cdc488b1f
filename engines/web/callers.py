"""For whom a request asks: what is one user's is neither shown to another nor changed by them."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Header, HTTPException

Caller = Callable[..., Awaitable[str | None]]


def caller(*, needed: bool) -> Caller:
    """The dependency that reads ``X-User-Id``: None where it is not there; 403 when it is ``needed`` then."""

    async def named(
        x_user_id: Annotated[str | None, Header(max_length=512, description="Whose data may be seen.")] = None,
    ) -> str | None:
        if x_user_id is None:
            if needed:
                raise HTTPException(403, "X-User-Id is needed")
            return None
        # Header bytes arrive as Latin-1; a user id is UTF-8 as it is in bodies.
        return x_user_id.encode("latin-1", "replace").decode("utf-8", "replace")

    return named


def check_same_user(user_id: str, named: str | None) -> None:
    """Raises HTTPException 403 when the caller is named and is another user."""
    if named is not None and named != user_id:
        raise HTTPException(403, "X-User-Id names another user")
