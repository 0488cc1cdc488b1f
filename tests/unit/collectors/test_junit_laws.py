"""Laws of counting: whatever rows and declared totals are mixed, no difference turns into a pass."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.junit import read_junit
from collectors.test_suite import ingest_results

BODIES = {
    "passed": "",
    "failed": "<failure/>",
    "errors": "<error/>",
    "skipped": "<skipped/>",
    "flaky": "<flakyFailure/>",
    "rerun": "<failure/><rerunFailure/>",
    "twice": "<failure/><failure/>",
}
rows = st.lists(st.sampled_from(sorted(BODIES)), max_size=12)
totals = st.dictionaries(st.sampled_from(["tests", "failures", "errors", "skipped"]), st.integers(0, 15))
SHOWN_BAD = ("failed", "errors", "rerun", "twice")
EXPLAINING = ("flaky", "rerun", "twice")


def written(folder, outcomes, declared, name="s"):
    attributes = "".join(f" {key}='{value}'" for key, value in declared.items())
    body = "".join(f"<testcase name='t'>{BODIES[o]}</testcase>" for o in outcomes)
    path = folder / "results.xml"
    path.write_text(f"<testsuites><testsuite name='{name}'{attributes}>{body}</testsuite></testsuites>")
    return path


@given(rows, totals)
def test_failures_are_never_fewer_than_rows_or_totals_say_but_for_attempts(tmp_path_factory, outcomes, declared):
    counted = read_junit([written(tmp_path_factory.mktemp("j"), outcomes, declared)])
    shown = sum(outcome in SHOWN_BAD for outcome in outcomes)
    stated = declared.get("failures", 0) + declared.get("errors", 0)
    explained = sum(outcome in EXPLAINING for outcome in outcomes)
    assert counted.failed + counted.errors >= max(shown, stated - explained)
    counts = (counted.passed, counted.failed, counted.errors, counted.skipped, counted.flaky)
    assert counted.tests == sum(counts)
    assert min(counts) >= 0


@given(rows, totals, st.sampled_from(["s", "pytest"]), st.sampled_from(SHOWN_BAD))
def test_a_failing_row_never_makes_a_file_pass(tmp_path_factory, outcomes, declared, name, bad):
    measured = ingest_results([written(tmp_path_factory.mktemp("j"), [*outcomes, bad], declared, name)])
    assert measured.outcome == "failed"


@given(rows, totals, st.sampled_from(["s", "pytest"]))
def test_a_file_passes_only_when_rows_and_totals_agree_on_it(tmp_path_factory, outcomes, declared, name):
    measured = ingest_results([written(tmp_path_factory.mktemp("j"), outcomes, declared, name)])
    if measured.outcome != "passed":
        return
    assert set(outcomes) <= {"passed", "skipped"}
    assert "passed" in outcomes
    assert declared.get("failures", 0) == declared.get("errors", 0) == 0
    assert declared.get("tests", len(outcomes)) == len(outcomes)
    assert declared.get("skipped", outcomes.count("skipped")) == outcomes.count("skipped")
