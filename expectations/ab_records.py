"""What must hold of A/B records before their effects mean anything: one arm per user, an even split, ranges."""

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.vocabulary import UTC_TIME

COLUMNS = [
    "user_id",
    "arm",
    "assigned_at",
    "slot",
    "accurate",
    "satisfaction",
    "session_duration_s",
    "completed",
    "adopted",
    "returned",
]
ARMS = ["control", "treatment"]
HALF_OF_SLOTS = 5000


def suite() -> list[Expectation]:
    """The expectations, each of one column or of the whole table."""
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=COLUMNS, exact_match=True),
        gxe.ExpectTableRowCountToBeBetween(min_value=2148),  # 1,074 users an arm for 42 → 48 % at power 0.80
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in COLUMNS),
        gxe.ExpectColumnValuesToBeUnique(column="user_id"),
        gxe.ExpectColumnValuesToBeInSet(column="arm", value_set=ARMS),
        gxe.ExpectColumnDistinctValuesToEqualSet(column="arm", value_set=ARMS),
        gxe.ExpectColumnValuesToMatchRegex(column="assigned_at", regex=UTC_TIME),
        gxe.ExpectColumnValuesToBeBetween(column="slot", min_value=0, max_value=9999),
        # A user in the other arm than the slot says is contamination of the control.
        gxe.ExpectColumnValuesToBeBetween(
            column="slot",
            max_value=HALF_OF_SLOTS - 1,
            row_condition='arm=="control"',
            condition_parser="pandas",
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="slot",
            min_value=HALF_OF_SLOTS,
            row_condition='arm=="treatment"',
            condition_parser="pandas",
        ),
        gxe.ExpectColumnMeanToBeBetween(column="slot", min_value=4700, max_value=5300),
        gxe.ExpectColumnValuesToBeBetween(column="satisfaction", min_value=1, max_value=5),
        gxe.ExpectColumnValuesToBeBetween(column="session_duration_s", min_value=0, max_value=7200),
        *(
            gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[0, 1])
            for name in ("accurate", "completed", "adopted", "returned")
        ),
    ]
