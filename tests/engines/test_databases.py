"""That the suites of Phase 4 ran against both databases is part of what they show."""

import pytest

from tests.engines.conftest import DATABASES

pytestmark = pytest.mark.phase4


def test_phase_4_is_tested_on_both_databases():
    if "postgresql" not in DATABASES:
        pytest.skip("PostgreSQL is not installed on this machine: sessions were tested on SQLite alone")
    assert DATABASES == ["sqlite", "postgresql"]
