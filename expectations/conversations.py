"""What must hold of ION's conversations: their states, limits and times."""

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.vocabulary import PERSONAS, UTC_TIME

COLUMNS = [
    "session_id",
    "user_id",
    "persona",
    "state",
    "turn_count",
    "token_count",
    "created_at",
    "last_activity_at",
    "closed_at",
    "text_source",
]
STATES = ["active", "completed", "expired"]


def suite() -> list[Expectation]:
    """The expectations, each of one column, a pair, or of the whole table."""
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=COLUMNS, exact_match=True),
        gxe.ExpectTableRowCountToBeBetween(min_value=100),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in COLUMNS if name != "closed_at"),
        gxe.ExpectColumnValuesToBeUnique(column="session_id"),
        gxe.ExpectColumnValueLengthsToBeBetween(column="session_id", min_value=22),
        gxe.ExpectColumnValuesToBeInSet(column="persona", value_set=PERSONAS),
        gxe.ExpectColumnValuesToBeInSet(column="state", value_set=STATES),
        gxe.ExpectColumnValuesToBeBetween(column="turn_count", min_value=0, max_value=10),
        gxe.ExpectColumnValuesToBeBetween(column="token_count", min_value=0, max_value=3000),
        gxe.ExpectColumnValuesToMatchRegex(column="created_at", regex=UTC_TIME),
        gxe.ExpectColumnValuesToMatchRegex(column="last_activity_at", regex=UTC_TIME),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="last_activity_at", column_B="created_at", or_equal=True),
        gxe.ExpectColumnValuesToBeInSet(column="text_source", value_set=["api", "template"]),
    ]
