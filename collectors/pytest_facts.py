"""What the facts of our pytest plugin say about a run. Pure: the facts are given as bytes.

pytest's JUnit XML counts reports and not tests, writes two rows for a test that fails in its call and its teardown, a
row for each subtest that fails, and a row that looks passed for each failed attempt. So outcomes are counted from the
facts, and the XML must agree: a failure that only the XML shows counts as an error.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from collectors.totals import Status, Totals, finished

FACTS_NAME = "pytest-facts.json"

_Count = Annotated[int, Field(ge=0)]


class _Test(BaseModel):
    """One test that did not plainly pass: phase and outcome of each report, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    test: str
    reports: list[Annotated[list[str], Field(min_length=2, max_length=2)]]


class PytestFacts(BaseModel):
    """What the plugin wrote. Counts are None where it could not count."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    found: _Count | None
    collected: _Count | None
    deselected: _Count | None
    collect_errors: list[str]
    collect_skips: list[str]
    plainly_passed: _Count
    others: list[_Test]
    exit_code: int
    pytest: str
    python: str

    @property
    def ran(self) -> int:
        """How many tests reported anything."""
        return self.plainly_passed + len(self.others)

    @property
    def left_out(self) -> int | None:
        """Tests found and not run: deselected, or taken away by a plugin that does not say so."""
        if self.deselected is None or self.collected is None:
            return None
        return max(self.deselected, (self.found or 0) - self.collected)

    @property
    def subtests_skipped(self) -> int:
        """Subtests that were skipped inside of tests that ran."""
        return sum(
            phase == "subtest" and outcome == "skipped" for test in self.others for phase, outcome in test.reports
        )


def parse_facts(content: bytes) -> PytestFacts:
    """Read what the plugin wrote. Raises ValueError."""
    try:
        return PytestFacts.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(f"the facts of pytest are damaged: {error.errors()[0]['msg']}") from error


def count_facts(facts: PytestFacts, xml: Totals) -> Totals:
    """Totals of a run by its facts; duration and number of suites, and failures unknown to the facts, by its XML."""
    totals = Totals(duration_s=xml.duration_s, suites=xml.suites)
    if facts.plainly_passed:
        totals.count("passed", "", facts.plainly_passed)
    failures = len(facts.collect_errors)
    for name in facts.collect_errors:
        totals.count("error", name or "collection")
    for name in facts.collect_skips:
        totals.count("skipped", name)
    for test in facts.others:
        totals.count(_status(test.reports), test.test)
        failures += sum(outcome == "failed" for _, outcome in test.reports)
    if (hidden := xml.failed + xml.errors - failures) > 0:
        totals.problem(f"the JUnit XML shows {hidden} failures that the run itself did not report")
        totals.count("error", "a failure that only the JUnit XML shows", hidden)
    if xml.tests < totals.tests - len(facts.collect_skips):
        totals.problem(f"the JUnit XML has {xml.tests} rows for {totals.tests} tests")
    if facts.collected is None:
        totals.problem("the number of collected tests is not known: workers crashed or collected different tests")
    elif facts.collected != facts.ran:
        totals.problem(f"{facts.collected} tests were collected, {facts.ran} ran")
    return finished(totals)


def _status(reports: Sequence[Sequence[Any]]) -> Status:
    """The outcome of one test: the worst of its reports. A test that was attempted again is flaky when it passed."""
    phases = [phase for phase, _ in reports]
    outcomes = {outcome for _, outcome in reports}
    if any(outcome == "failed" and phase not in ("call", "subtest") for phase, outcome in reports):
        return "error"
    if "failed" in outcomes:
        return "failed"
    if outcomes - {"passed", "skipped", "xfailed", "xpassed", "rerun"}:
        return "error"
    results = [outcome for phase, outcome in reports if phase == "call" or (phase == "setup" and outcome != "passed")]
    if not results:
        return "error"  # begun, and never ended
    again = "rerun" in outcomes or max(phases.count("setup"), phases.count("call")) > 1
    if results[-1] in ("passed", "xpassed"):
        return "flaky" if again else "passed"
    return "failed" if again else "skipped"
