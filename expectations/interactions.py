"""What must hold of ION's interactions: who was answered by whom, and how that was received."""

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.vocabulary import PERSONAS, RESONANCE_KEY, UTC_TIME

COLUMNS = [
    "interaction_id",
    "user_id",
    "timestamp",
    "persona",
    "resonance_key",
    "rating",
    "satisfaction",
    "session_duration_s",
    "completed",
    "follow_up_count",
    "feedback",
]


def suite() -> list[Expectation]:
    """The expectations, each of one column or of the whole table."""
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=COLUMNS, exact_match=True),
        gxe.ExpectTableRowCountToBeBetween(min_value=1000),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in COLUMNS if name != "feedback"),
        gxe.ExpectColumnValuesToBeUnique(column="interaction_id"),
        gxe.ExpectColumnValuesToMatchRegex(column="timestamp", regex=UTC_TIME),
        gxe.ExpectColumnValuesToBeInSet(column="persona", value_set=PERSONAS),
        gxe.ExpectColumnDistinctValuesToEqualSet(column="persona", value_set=PERSONAS),
        gxe.ExpectColumnValuesToMatchRegex(column="resonance_key", regex=RESONANCE_KEY),
        gxe.ExpectColumnValuesToBeBetween(column="rating", min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="satisfaction", min_value=0, max_value=100),
        gxe.ExpectColumnValuesToBeBetween(column="session_duration_s", min_value=0, max_value=7200),
        gxe.ExpectColumnValuesToBeInSet(column="completed", value_set=[0, 1]),
        gxe.ExpectColumnValuesToBeBetween(column="follow_up_count", min_value=0, max_value=100),
        gxe.ExpectColumnValuesToBeBetween(column="feedback", min_value=-1, max_value=1),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="user_id", min_value=100),
        # A model trained on ratings that do not vary would learn nothing, and nobody would see it.
        gxe.ExpectColumnStdevToBeBetween(column="rating", min_value=0.05),
    ]
