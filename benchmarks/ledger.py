"""What the ledger claims about its speed, beside what this machine's disk and processor allow at most.

``python -m benchmarks.ledger`` takes about two minutes and exits with 3 when a claim does not hold.
"""

import hashlib
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.measurement import Measurement
from evidence.record import Subject
from evidence.results import LatencySummary, LoadResult
from evidence.store import EvidenceStore, open_store
from evidence.verify import verify_ledger

RECORDS = 100_000
SMALL = 1_000
SUBJECT_RECORDS = 20  # of each subject: queries return as much from the small ledger as from the large one
LEAST_APPENDS_PER_S = 1000
LONGEST_VERIFICATION_S = 60
LARGEST_GROWTH_OF_A_QUERY = 2  # between the small and the large ledger, for a hundred times the records

_LATENCY = LatencySummary(count=1000, mean_ms=12.5, p50_ms=11.0, p95_ms=25.5, p99_ms=40.0, max_ms=81.25)


def main() -> int:
    """Measure, print, and return 0 when all claims hold, otherwise 3."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # a real disk: /tmp may be memory
        home = Path(folder)
        store = open_store(home / "home")
        append(store, range(SMALL))
        small = query_times_ms(store)
        appends_per_s = rate(append, store, range(SMALL, RECORDS))
        large = query_times_ms(store)

        began = time.perf_counter()
        verification = verify_ledger(store)
        verification_s = time.perf_counter() - began
        row = next(store.ledger.rows())
        size = len(row.envelope or b"")
        insert_per_s = rate(bare_inserts, home / "bare.sqlite", size)
        store.ledger.close()
    signs_per_s, verifies_per_s = bare_signatures(size)

    growth = max(large[name] / small[name] for name in large)
    intact = verification.problem is None and verification.records == RECORDS
    claims = [
        (f"at least {LEAST_APPENDS_PER_S} signed appends a second", appends_per_s >= LEAST_APPENDS_PER_S),
        (
            f"{RECORDS:,} records verified in less than {LONGEST_VERIFICATION_S} s, and intact",
            intact and verification_s < LONGEST_VERIFICATION_S,
        ),
        (
            f"queries by subject and kind grow less than {LARGEST_GROWTH_OF_A_QUERY}x while the ledger grows 100x",
            growth < LARGEST_GROWTH_OF_A_QUERY,
        ),
    ]
    print(f"SQLite {sqlite3.sqlite_version}, one writer, {RECORDS:,} load records of about {size:,} B, one commit each")
    print(f"  signed appends            {appends_per_s:>10,.0f} /s")
    print(f"    bare insert and commit  {insert_per_s:>10,.0f} /s   the same file format, pragmas and size: the disk")
    print(f"    bare Ed25519 signatures {signs_per_s:>10,.0f} /s   the processor")
    print(f"  verification              {verification_s:>10.1f} s   {RECORDS / verification_s:,.0f} records/s")
    print(f"    bare Ed25519 verifying  {RECORDS / verifies_per_s:>10.1f} s   the processor")
    for name, milliseconds in large.items():
        print(f"  {name:<25} {milliseconds:>10.2f} ms  {small[name]:.2f} ms in a ledger of {SMALL:,}")
    for claim, holds in claims:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {claim}")
    return 0 if all(holds for _, holds in claims) else 3


def append(store: EvidenceStore, numbers: Iterable[int]) -> int:
    """Measure nothing, but sign and append it as every collector does. Returns how many were appended."""
    count = 0
    for number in numbers:
        now = datetime.now(UTC)
        result = LoadResult(
            target="benchmark",
            arrivals="requests",
            planned_s=60,
            due_s=60,
            duration_s=60,
            aborted=None,
            late=0,
            finished=1000,
            error_classes={},
            highest_rate=16.7,
            workers=1,
            workers_lost=0,
            generator_cpu_highest=0.3,
            generator_rss_highest_bytes=66_000_000,
            offered=1000,
            started=1000,
            completed=1000,
            errors=0,
            rate_limited=0,
            expected_4xx=0,
            offered_rate=16.7,
            completed_rate=16.7,
            held_rate=1.0,
            error_rate=0.0,
            served_rate=1.0,
            mean_ms=12.5,
            p95_ms=25.5,
            latency=_LATENCY,
            by_endpoint={"list": _LATENCY, "item": _LATENCY},
            generator_cpu=0.25,
        )
        store.record(
            subject(number // SUBJECT_RECORDS),
            "load",
            {"plan": "sha256:" + "1" * 64},
            Measurement(result, "passed", f"number {number}", now, now, {"rate": 16.7}, {"locust": "2.47.0"}),
        )
        count += 1
    return count


def subject(number: int) -> Subject:
    """One of many subjects."""
    return Subject("benchmark", str(number), "sha256:" + hashlib.sha256(b"%d" % number).hexdigest())


def query_times_ms(store: EvidenceStore) -> dict[str, float]:
    """Median time of each query, over subjects spread through the small ledger."""
    digests = [subject(number).digest for number in range(SMALL // SUBJECT_RECORDS)]
    first = next(store.ledger.rows()).record_id
    queries: dict[str, Callable[[str], object]] = {
        "rows of a subject": lambda digest: list(store.ledger.rows(subject=digest)),
        "rows of subject and kind": lambda digest: list(store.ledger.rows(subject=digest, kind="load")),
        "a row by its id": lambda _: store.ledger.find(first[:12]),
    }
    return {
        name: statistics.median(timed_ms(query, digest) for digest in digests * 10) for name, query in queries.items()
    }


def timed_ms(query: Callable[[str], object], digest: str) -> float:
    """One query's time."""
    began = time.perf_counter()
    assert query(digest)
    return 1000 * (time.perf_counter() - began)


def rate(work: Callable[..., int], *arguments: object) -> float:
    """How many things a second ``work`` does, which returns how many it did."""
    began = time.perf_counter()
    count = work(*arguments)
    return count / (time.perf_counter() - began)


def bare_inserts(path: Path, size: int, count: int = 5000) -> int:
    """What SQLite alone does: one insert and commit for each record, as durable as the ledger's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bare (sequence INTEGER PRIMARY KEY, envelope BLOB)")
    content = os.urandom(size)
    for sequence in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare VALUES (?, ?)", (sequence, content))
        connection.execute("COMMIT")
    connection.close()
    return count


def bare_signatures(size: int, count: int = 5000) -> tuple[float, float]:
    """Ed25519 signatures and verifications a second over messages of this size."""
    key, message = Ed25519PrivateKey.generate(), os.urandom(size)
    public, signature = key.public_key(), key.sign(message)
    signs = rate(lambda: sum(len(key.sign(message)) == 64 for _ in range(count)))
    return signs, rate(lambda: sum(public.verify(signature, message) is None for _ in range(count)))


if __name__ == "__main__":
    sys.exit(main())
