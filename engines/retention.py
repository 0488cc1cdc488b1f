"""Keeping the newest rows of a table: nothing in SQL grows without a limit either."""

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select

_AT_ONCE = 2000


def keep_newest(connection: Connection, table: Table, most: int, outdated: ColumnElement[bool] | None = None) -> int:
    """Remove at most 2,000 rows whose ``number`` is ``most`` or more below the newest, or which are ``outdated``.

    Returns how many were removed. Several processes may do so at the same time: none waits for rows of another.
    """
    number = table.c.number
    newest = connection.execute(select(func.max(number))).scalar()
    if newest is None:
        return 0
    old = number <= newest - most
    if outdated is not None:
        old = or_(old, outdated)
    some = select(number).where(old).order_by(number).limit(_AT_ONCE).with_for_update(skip_locked=True)
    gone = connection.execute(some).scalars().all()
    return connection.execute(delete(table).where(number.in_(gone))).rowcount if gone else 0
