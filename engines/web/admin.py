"""Who may change, remove or take away what all share."""

from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request

from engines.settings import Settings
from engines.web.credentials import Keys


def admin_of(settings: Settings) -> Callable[..., Awaitable[None]]:
    """A dependency that lets only keys with the admin right on.

    Without any such key nobody has the right in production, and elsewhere everybody has.
    """
    keys = Keys(settings.admin_keys)

    async def admin(request: Request) -> None:
        if settings.admin_keys:
            if keys.holder(request.headers.get("authorization", "")) is None:
                raise HTTPException(403, "the key has not the admin right")
        elif settings.production:
            raise HTTPException(403, "no key has the admin right")

    return admin
