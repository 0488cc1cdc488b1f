"""On whose behalf a request is made, and who may change or remove what all share."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Header, HTTPException, Request

from engines.settings import Settings
from engines.web.credentials import Keys

_OTHER_USER = "X-User-Id names another user"
Caller = Callable[..., Awaitable[str | None]]


def caller_of(*, user_needed: bool) -> Caller:
    """A dependency that gives the user whom ``X-User-Id`` names, or None; with ``user_needed`` None is refused."""

    async def caller(
        x_user_id: Annotated[str | None, Header(max_length=512, description="Whose data may be seen.")] = None,
    ) -> str | None:
        if x_user_id is None:
            if user_needed:
                raise HTTPException(403, "X-User-Id is needed")
            return None
        # Header bytes arrive as Latin-1; a user id is UTF-8 as it is in bodies.
        return x_user_id.encode("latin-1", "replace").decode("utf-8", "replace")

    return caller


def same_user(user_id: str, caller: str | None) -> None:
    """Refuse a request about one user on behalf of another."""
    if caller is not None and caller != user_id:
        raise HTTPException(403, _OTHER_USER)


def admin_of(settings: Settings) -> Callable[..., Awaitable[None]]:
    """A dependency that lets only keys with the admin right on.

    Without any such key nobody has the right in production, and elsewhere everybody has.
    """
    keys = Keys(settings.admin_keys)

    async def admin(request: Request) -> None:
        if settings.admin_keys:
            if not keys.let_in(request.headers.get("authorization", "")):
                raise HTTPException(403, "the key has not the admin right")
        elif settings.production:
            raise HTTPException(403, "no key has the admin right")

    return admin
