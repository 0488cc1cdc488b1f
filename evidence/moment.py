"""Times in records: with their zone, and near enough to the present that adding a duration stays a time."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def checked_moment(at: datetime) -> datetime:
    """The same time. Raises ValueError outside the years 2000 to 2199."""
    if not _FIRST <= at < _LAST:
        raise ValueError(f"{at.isoformat()}: expected a time of the years 2000 to 2199")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(checked_moment)]
