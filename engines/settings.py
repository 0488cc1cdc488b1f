"""What the service is told by its environment."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.conversation.database import DEFAULT_POOL_SIZE, check_url
from engines.conversation.text_source import TextApi
from engines.faults import Faults, read_faults

Release = Literal["phase3", "phase4"]

_DATA = Path(__file__).resolve().parents[1] / "releases" / "ion-phase4" / "data" / "interactions.csv"


class WrongSettings(ValueError):
    """The environment says something that the service must not start with."""


@dataclass(frozen=True)
class Settings:
    """``api_keys`` empty: no key is asked for. ``requests_per_minute`` None: no limit per client.

    ``admin_keys`` empty: in production nobody may change or remove what others share, elsewhere everybody.
    """

    release: Release
    production: bool
    api_keys: tuple[str, ...]
    admin_keys: tuple[str, ...]
    requests_per_minute: int | None
    database_url: str | None
    database_pool_size: int
    text_api: TextApi | None
    data: Path
    faults: Faults


def read_settings(release: Release) -> Settings:
    """Settings from the environment. Raises WrongSettings, or FaultsRefused, for what must not be started with."""
    environment = os.environ.get("ION_ENV", "")
    production = environment == "production"
    if environment and not production:
        raise WrongSettings(f"ION_ENV={environment!r}: expected production, or nothing; faults are only refused there")
    keys = _keys("ION_API_KEYS")
    if production and not keys:
        raise WrongSettings("ION_ENV is production and ION_API_KEYS names no key: everybody would be let in")
    return Settings(
        release=release,
        production=production,
        api_keys=keys,
        admin_keys=_keys("ION_ADMIN_KEYS"),
        requests_per_minute=_number("ION_RATE_LIMIT_PER_MINUTE"),
        database_url=_database_url(),
        database_pool_size=_number("ION_DATABASE_POOL_SIZE", at_most=100) or DEFAULT_POOL_SIZE,
        text_api=_text_api(),
        data=Path(os.environ.get("ION_DATA") or _DATA),
        faults=read_faults(os.environ.get("ION_FAULTS", ""), production=production),
    )


def _keys(name: str) -> tuple[str, ...]:
    """Those of a variable; none when it is not set. A value without any would let everybody in by mistake."""
    text = os.environ.get(name, "")
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if text and not keys:
        raise WrongSettings(f"{name} is set and names no key")
    if not all(key.isascii() and key.isprintable() for key in keys):
        raise WrongSettings(f"{name}: expected printable ASCII, which a header can carry")
    return keys


def _number(name: str, at_most: int = 1_000_000) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= at_most):
        raise WrongSettings(f"{name}={text!r}: expected a whole number from 1 to {at_most}")
    return int(text)


def _database_url() -> str | None:
    url = os.environ.get("ION_DATABASE_URL")
    try:
        return check_url(url) if url else None
    except ValueError as error:
        raise WrongSettings(f"ION_DATABASE_URL: {error}") from error


def _text_api() -> TextApi | None:
    url = os.environ.get("ION_TEXT_API_URL")
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise WrongSettings("ION_TEXT_API_URL: expected a URL that begins with http:// or https://")
    return TextApi(url, os.environ.get("ION_TEXT_API_KEY") or None, os.environ.get("ION_TEXT_MODEL") or TextApi.model)
