import pytest

from loadtests.load import Limits
from loadtests.soak_nights import EarlierNights
from loadtests.soak_result import outcome_of, summary_of
from tests.unit.decision.factories import soak_result


@pytest.mark.parametrize(
    ("errors", "limited", "outcome", "why"),
    [
        (0, 0, "passed", ""),
        (0, 50, "passed", ""),
        (0, 60, "inconclusive", "the target refused 60.0% of the load with 429"),
        (60, 0, "failed", "only 40.0% of the requests were served, 60.0% were errors"),
        (100, 0, "failed", "only 0.0% of the requests were served, 100.0% were errors"),
    ],
)
def test_a_soak_of_which_less_than_half_was_served_never_passes(errors, limited, outcome, why):
    counts = {"completed": 100, "errors": errors, "error_rate": errors / 100, "rate_limited": limited}
    result = soak_result(**counts, served_rate=(100 - errors - limited) / 100)
    assert outcome_of(result, [], Limits(None, None), EarlierNights()) == (outcome, why)
    assert (f", {limited} refused with 429" in summary_of(result)) == bool(limited)
