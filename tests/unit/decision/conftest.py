from pathlib import Path

import pytest

from decision.plan import Plan
from decision.plan_file import read_plan
from tests.unit.decision.factories import PLAN


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def plan(plan_path: Path) -> Plan:
    return read_plan(plan_path).plan
