"""What the service is told by its environment."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.faults import Faults, read_faults

Release = Literal["phase3", "phase4"]

_DATA = Path(__file__).resolve().parents[1] / "releases" / "ion-phase4" / "data" / "interactions.csv"


class WrongSettings(ValueError):
    """The environment says something that the service must not start with."""


@dataclass(frozen=True)
class Settings:
    """``api_keys`` empty: no key is asked for. ``requests_per_minute`` None: no limit per client."""

    release: Release
    production: bool
    api_keys: tuple[str, ...]
    requests_per_minute: int | None
    database_url: str | None
    text_api_url: str | None
    data: Path
    faults: Faults


def read_settings(release: Release) -> Settings:
    """Settings from the environment. Raises WrongSettings, or FaultsRefused, for what must not be started with."""
    production = os.environ.get("ION_ENV") == "production"
    keys = tuple(key.strip() for key in os.environ.get("ION_API_KEYS", "").split(",") if key.strip())
    if production and not keys:
        raise WrongSettings("ION_ENV is production and ION_API_KEYS names no key: everybody would be let in")
    limit = os.environ.get("ION_RATE_LIMIT_PER_MINUTE")
    if limit is not None and not (limit.isdigit() and int(limit) > 0):
        raise WrongSettings(f"ION_RATE_LIMIT_PER_MINUTE={limit!r}: expected a whole number above 0")
    return Settings(
        release=release,
        production=production,
        api_keys=keys,
        requests_per_minute=int(limit) if limit else None,
        database_url=os.environ.get("ION_DATABASE_URL"),
        text_api_url=os.environ.get("ION_TEXT_API_URL"),
        data=Path(os.environ.get("ION_DATA") or _DATA),
        faults=read_faults(os.environ.get("ION_FAULTS", ""), production=production),
    )
