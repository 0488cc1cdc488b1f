"""What people sign, each with a key of their own, and how it gets into a ledger.

``gonogo approve``, ``gonogo waive``, ``gonogo revoke``, ``gonogo request``, ``gonogo accept``.
"""

from datetime import UTC, datetime
from functools import partial
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
from evidence.store import open_existing_store
from flows.signing import (
    Accepted,
    Hand,
    accept,
    examine,
    read_request,
    request_of,
    sign_approval,
    sign_revocation,
    sign_waiver,
)
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
    print_only: Annotated[bool, Parameter(name="--print", negative="")] = False,
    request: Path | None = None,
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
    print_only
        Print what you signed instead of taking it into the ledger: for gonogo accept, or a waiting flow run.
    request
        Sign over this file (gonogo request) where there is no ledger, and print.
    """
    plan_file, hand = read_plan(plan), _hand(role, key)
    sign_over = partial(
        sign_approval,
        plan_file,
        hand=hand,
        root=root,
        refuse=refuse,
        reason=reason,
        not_before=_utc(not_before),
        not_after=_utc(not_after),
    )
    if request is not None:
        print(sign_over(read_request(_read(request), plan_file, level)).decode())
        return 0
    store = open_existing_store(home.resolve())
    envelope = sign_over(request_of(plan_file, store, level))
    if not print_only:
        return _told(accept(plan_file, store, envelope), json)
    examine(plan_file, store, envelope)
    print(envelope.decode())
    return 0


def request_approval(plan: Path, *, level: Level, home: Home = DEFAULT_HOME) -> int:
    """Print what an approval of a level is over, as JSON: for people who sign where there is no ledger.

    Parameters
    ----------
    plan
        The release plan.
    level
        The authorization level.
    """
    print_json(request_of(read_plan(plan), open_existing_store(home.resolve()), level).model_dump(mode="json"))
    return 0


def accept_act(plan: Path, file: Path, *, home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Take into the ledger what a person signed elsewhere, if it counts.

    Parameters
    ----------
    plan
        The release plan.
    file
        What gonogo approve printed.
    """
    return _told(accept(read_plan(plan), open_existing_store(home.resolve()), _read(file).strip()), json)


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
    envelope = sign_waiver(plan_file, store, hand, claim=claim, owner=owner, reason=reason, expires_at=expires_at)
    return _told(accept(plan_file, store, envelope), json)


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
    envelope = sign_revocation(plan_file, store, _hand(role, key), record=record, reason=reason)
    return _told(accept(plan_file, store, envelope), json)


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


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error


def _told(accepted: Accepted, json: bool) -> int:
    record = accepted.record
    if json:
        facts = {"record_id": record.record_id, "new": accepted.new, "kind": record.kind}
        print_json(facts | record.result.model_dump(mode="json"))
    else:
        said = "signed" if accepted.new else "already in the ledger"
        print_text(f"{said}: {record.summary}; record {record.record_id}")
    return 0
