"""``gonogo verify``: recompute everything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from evidence.allowed_signers import read_allowed_signers
from evidence.keys import public_text
from evidence.store import EvidenceStore, open_existing_store
from evidence.verify import verify_ledger
from flows.bundling import BundleVerification, verify_bundle
from processes.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from flows.replay import Replay

NOT_INTACT = 20


def verify(
    bundle: Path | None = None,
    *,
    ledger: Annotated[bool, Parameter(negative="")] = False,
    replay: Annotated[bool, Parameter(negative="")] = False,
    trust: Path | None = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Recompute everything that a ledger or a bundle claims; name the first thing that does not fit.

    Of a ledger: hashes, chain, signatures and attachments. Of a bundle: these, and its decision and report, which are
    derived again from its evidence and plan, with no ledger and no network.

    With --replay every result that can be is computed again from the raw samples and seeds that are kept with it, and
    compared to the last bit. What cannot be computed again is named with the reason.

    Exit code: 0 intact, 20 not.

    Parameters
    ----------
    bundle
        A file that gonogo evidence export wrote.
    ledger
        Verify the ledger in the home.
    replay
        Compute the results themselves again, too.
    trust
        An allowed_signers file: the collectors who may have signed the bundle. Without it the bundle's own is used,
        which shows that it is whole, and not who made it.
    """
    if ledger == (bundle is not None) or (trust is not None and bundle is None):
        raise UsageError("say what to verify: gonogo verify --ledger, or gonogo verify BUNDLE [--trust FILE]")
    return _bundle(bundle, trust, replay, json) if bundle else _ledger(home, replay, json)


def _ledger(home: Path, replay: bool, json: bool) -> int:
    store = open_existing_store(home.resolve())
    verification = verify_ledger(store)
    replayed = _replay_ledger(store) if replay and verification.problem is None else None
    problem = verification.problem or (replayed.problem if replayed else None)
    if json:
        print_json({"intact": problem is None, **vars(verification), "problem": problem, **_facts_of(replayed)})
    elif problem:
        print_text(f"NOT INTACT: {problem}")
    else:
        removed = f"; the content of {verification.removed} was removed by retention" if verification.removed else ""
        print_text(
            f"intact: {verification.records} records and {verification.attachments} attachments, "
            f"every hash, link and signature recomputed{removed}{_text_of(replayed)}"
        )
    return NOT_INTACT if problem else 0


def _bundle(path: Path, trust: Path | None, replay: bool, json: bool) -> int:
    trusted = None
    if trust is not None and not (trusted := read_allowed_signers(trust)):
        raise UsageError(f"{trust}: names no signer: nobody's bundle could be trusted")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        verified = verify_bundle(content, trusted)
        replayed = _replay_bundle(verified) if replay else None
    except (IntegrityError, UsageError) as error:  # the plan and signers inside are part of what is verified
        if json:
            print_json({"intact": False, "problem": str(error)})
        else:
            print_text(f"NOT INTACT: {error}")
        return NOT_INTACT
    decision, subject = verified.decision, verified.bundle.subject
    signed = [a for a in decision.approvals if a.status == "signed"]
    facts = {
        "subject": f"{subject.name} {subject.version} {subject.digest}",
        "records": len(verified.records),
        "attachments": len(verified.attachments),
        "decision": decision.decision,
        "level": decision.requested_level,
        "decided_at": decision.decided_at.isoformat(),
        "approvals": [{"person": a.person, "role": a.role, "level": a.level, "key": a.public_key} for a in signed],
        "signed_by": public_text(verified.bundle.signer.key),
        "trusted_by": str(trust) if trust else "the bundle itself",
    }
    if json:
        print_json({"intact": True, "problem": None, **facts, **_facts_of(replayed)})
        return 0
    print_text(
        f"intact: {facts['records']} records and {facts['attachments']} attachments\n"
        f"subject   {facts['subject']}\n"
        f"decision  {decision.decision} at level {decision.requested_level}, {decision.decided_at:%Y-%m-%d %H:%M} UTC:"
        " derived again from the evidence, the same to the last bit, and so is the report\n"
        + "".join(f"approved  level {a.level} by {a.person} ({a.role}), {a.public_key}\n" for a in signed)
        + f"signed by {facts['signed_by']}, trusted by {facts['trusted_by']}"
        + ("" if trust else " (--trust FILE says who may sign)")
        + _text_of(replayed)
    )
    return 0


# A replay needs all that measures, which is slow to import: flows.replay is imported for the option alone.


def _replay_ledger(store: EvidenceStore) -> "Replay":
    from flows.replay import replay_ledger

    return replay_ledger(store)


def _replay_bundle(verified: BundleVerification) -> "Replay":
    """Raises IntegrityError when a result differs."""
    from flows.replay import replay_records

    replayed = replay_records(verified.records, verified.attachments)
    if replayed.problem:
        raise IntegrityError(replayed.problem)
    return replayed


def _facts_of(replayed: "Replay | None") -> dict[str, Any]:
    if replayed is None:
        return {}
    return {
        "replayed": sum(replayed.replayed.values()),
        "not_replayed": sum(replayed.not_replayed.values()),
        "replayed_kinds": dict(replayed.replayed),
        "not_replayed_kinds": [
            {"kind": kind, "records": count, "why": why} for (kind, why), count in replayed.not_replayed.items()
        ],
    }


def _text_of(replayed: "Replay | None") -> str:
    if replayed is None:
        return ""
    kinds = ", ".join(f"{number} {kind}" for kind, number in replayed.replayed.items())
    count = _records(sum(replayed.replayed.values()))
    same = f"{count} computed again from the raw material, the same to the last bit: {kinds}" if kinds else "no record"
    missing = [
        f"\nnot replayed: {_records(number, f'{kind} ')}: {why}"
        for (kind, why), number in replayed.not_replayed.items()
    ]
    return "".join([f"\nreplayed: {same}", *missing])


def _records(count: int, kind: str = "") -> str:
    return f"{count} {kind}record{'' if count == 1 else 's'}"
