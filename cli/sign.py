"""``gonogo approve``, ``gonogo waive``, ``gonogo revoke``: what people sign, each with a key of their own."""

from datetime import UTC, datetime
from getpass import getpass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from decision.levels import Level
from decision.plan_file import read_plan
from decision.quantities import parse_duration_s
from evidence.keys import load_signing_key
from evidence.moment import checked_moment
from evidence.record import Record
from evidence.store import open_existing_store
from flows.signing import Hand, approve, revoke, waive
from processes.errors import UsageError

Role = Annotated[str, Parameter(help="The role of the plan that you sign in.")]
Key = Annotated[Path, Parameter(help="Your OpenSSH Ed25519 private key (ssh-keygen -t ed25519).")]


def approve_level(
    plan: Path,
    *,
    level: Level,
    role: Role,
    root: str,
    key: Key,
    refuse: Annotated[bool, Parameter(negative="")] = False,
    reason: str = "",
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Sign one level of a release, or refuse it, over exactly what its report shows.

    Parameters
    ----------
    plan
        The release plan.
    level
        The authorization level.
    root
        At least 32 digits of the level's root, as the report that you read shows it.
    refuse
        Sign a refusal; it stops the release at this level until the evidence changes.
    reason
        Why; a refusal needs one.
    not_before
        From when the approval counts (ISO time; UTC unless it says otherwise).
    not_after
        Until when; at most as long as the plan allows.
    """
    plan_file, store = read_plan(plan), open_existing_store(home.resolve())
    record = approve(
        plan_file,
        store,
        _hand(role, key),
        level=level,
        root=root,
        refuse=refuse,
        reason=reason,
        not_before=_utc(not_before),
        not_after=_utc(not_after),
    )
    return _told(record, json)


def waive_claim(
    plan: Path,
    claim: str,
    *,
    role: Role,
    key: Key,
    owner: str,
    reason: str,
    expires: str,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Sign an exception to one claim; it ends by itself and stands in every report.

    Parameters
    ----------
    plan
        The release plan.
    claim
        The id of the claim.
    owner
        The role of the plan that sees to it that the exception ends.
    reason
        Why the exception is made.
    expires
        When it ends: an ISO time, or a duration from now such as 7d.
    """
    plan_file, store = read_plan(plan), open_existing_store(home.resolve())
    hand, expires_at = _hand(role, key), _time(expires)
    return _told(waive(plan_file, store, hand, claim=claim, owner=owner, reason=reason, expires_at=expires_at), json)


def revoke_act(
    plan: Path, record: str, *, role: Role, key: Key, reason: str, home: Home = DEFAULT_HOME, json: Json = False
) -> int:
    """End an approval or a waiver before its time.

    Parameters
    ----------
    plan
        The release plan.
    record
        The id of the approval or waiver, or its beginning.
    reason
        Why.
    """
    plan_file, store = read_plan(plan), open_existing_store(home.resolve())
    return _told(revoke(plan_file, store, _hand(role, key), record=record, reason=reason), json)


def _hand(role: str, key: Path) -> Hand:
    return Hand(role, load_signing_key(key, lambda: _passphrase(key)))


def _passphrase(key: Path) -> str:
    try:
        return getpass(f"Passphrase of {key}: ")
    except EOFError as error:
        raise UsageError(f"{key}: is protected by a passphrase, and nobody is there to be asked for it") from error


def _utc(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    try:
        return checked_moment(at.replace(tzinfo=UTC) if at.tzinfo is None else at)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{at}: expected a time of this century") from error


def _time(text: str) -> datetime:
    try:
        at = _utc(datetime.fromisoformat(text))
    except ValueError:
        at = None
    if at is not None:
        return at
    try:
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + parse_duration_s(text), UTC)
    except ValueError as error:
        raise UsageError(f"--expires {text}: expected a time such as 2025-11-01T12:00Z, or a duration: 7d") from error


def _told(record: Record, json: bool) -> int:
    if json:
        print_json({"record_id": record.record_id, "kind": record.kind, **record.result.model_dump(mode="json")})
    else:
        print_text(f"signed: {record.summary}; record {record.record_id}")
    return 0
