"""Whatever is tested of Phase 4 stands behind a claim of the release."""

from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PLAN = ROOT / "releases" / "ion-phase4" / "plan.yaml"
# It is skipped where PostgreSQL is not installed, and a suite of an engine may have skipped nothing.
NOT_CLAIMED = {"tests/engines/test_databases.py"}


def test_every_test_of_phase_4_is_in_a_suite_of_the_plan():
    collected = YAML(typ="safe").load(PLAN.read_text())["collect"].values()
    named = {word for one in collected if one["kind"] == "test-suite" for word in one["run"].split()}
    here = [path for path in (ROOT / "tests" / "engines").glob("test_*.py") if path.name != Path(__file__).name]
    of_phase4 = {str(path.relative_to(ROOT)) for path in here if "pytest.mark.phase4" in path.read_text()}
    assert of_phase4 - named == NOT_CLAIMED
    assert {name for name in named if name.endswith(".py")} <= {str(path.relative_to(ROOT)) for path in here}
