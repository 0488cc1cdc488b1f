"""Appends signed records with attachments and prints the id of each one that the ledger acknowledged."""

import sys
from pathlib import Path

from evidence.store import open_store
from tests.unit.evidence.conftest import SUBJECT, measurement

home, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = open_store(home)
print("open", flush=True)
sys.stdin.readline()
for number in range(count):
    print(store.record(SUBJECT, name, {}, measurement(number)).record_id, flush=True)
