"""``gonogo verify``: recompute everything."""

from typing import Annotated

from cyclopts import Parameter

from cli.options import DEFAULT_HOME, Home, Json
from cli.output import print_json, print_text
from evidence.store import open_existing_store
from evidence.verify import verify_ledger
from processes.errors import UsageError


def verify(
    *, ledger: Annotated[bool, Parameter(negative="")] = False, home: Home = DEFAULT_HOME, json: Json = False
) -> int:
    """Recompute hashes, chain, signatures and attachments of the ledger; name the first record that does not fit.

    Exit code: 0 intact, 20 not.

    Parameters
    ----------
    ledger
        Verify the ledger in the home.
    """
    if not ledger:
        raise UsageError("say what to verify: gonogo verify --ledger")
    verification = verify_ledger(open_existing_store(home.resolve()))
    if json:
        print_json({"intact": verification.problem is None, **vars(verification)})
    elif verification.problem:
        print_text(f"NOT INTACT: {verification.problem}")
    else:
        removed = f"; the content of {verification.removed} was removed by retention" if verification.removed else ""
        print_text(
            f"intact: {verification.records} records and {verification.attachments} attachments, "
            f"every hash, link and signature recomputed{removed}"
        )
    return 20 if verification.problem else 0
