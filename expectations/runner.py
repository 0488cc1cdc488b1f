"""Validate one dataset with one suite, quietly, and count what was really evaluated."""

import importlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from evidence.measurement import AttachmentContent, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached_json, text
from evidence.results import Check, DataQualityResult
from processes.errors import CollectError, UsageError

_SHOWN = 5
_VALIDATION = "validation.json"
_BAD_ROWS_KEPT = 1000


def check_data(suite: str, data: Path, *, work_dir: Path) -> Measurement:  # noqa: ARG001 - as every collector
    """Validate the file ``data`` (CSV or Parquet) with the expectations of the module ``suite``.

    Returns a DataQualityResult. An expectation that could not be evaluated is errored, never passed; a table without
    rows is inconclusive. Raises UsageError for a wrong suite and CollectError for a file that cannot be read.
    """
    started_at = datetime.now(UTC)
    expectations = _expectations(suite)
    frame = _read(data)
    results = _validate(frame, expectations, data.stem)
    content = _described(results, len(frame))
    result = result_of(json.loads(content), data.name)
    attachments = [AttachmentContent(_VALIDATION, "application/json", content), *_bad_rows(frame, results)]
    return Measurement(
        result=result,
        outcome=_outcome(result),
        summary=f"{data.name}: {result.passed} of {result.expectations} expectations hold on {result.rows} rows"
        + (f", {result.unexpected_rows} rows unexpected" if result.unexpected_rows else ""),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"suite": suite, "data": data.name},
        tools=_tools(),
        attachments=attachments,
    )


def result_of(validation: Mapping[str, Any], dataset: str) -> DataQualityResult:
    """The counts of what the attached validation says of each expectation: the data itself is not attached."""
    results = validation["results"]
    errored = sum(result["raised"] is True for result in results)
    passed = sum(result["success"] is True for result in results)
    return DataQualityResult(
        dataset=dataset,
        rows=validation["rows"],
        expectations=len(results),
        passed=passed,
        failed=len(results) - passed - errored,
        errored=errored,
        unexpected_rows=len({row for result in results for row in result["unexpected_rows"]}),
        details=[Check(name=r["name"], passed=r["success"], observed=r["observed"]) for r in results],
    )


def replay_data_quality(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome again, from what was seen of each expectation. Raises UnrecordedError."""
    result = result_of(attached_json(attachments, _VALIDATION), text(record, "data"))
    return Recomputed(result, _outcome(result))


def _expectations(suite: str) -> Sequence[Any]:
    try:
        made = importlib.import_module(suite).suite()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{suite} is no module with a function suite(): {error}") from error
    if not made:
        raise UsageError(f"{suite}.suite() is empty: nothing would be checked")
    return list(made)


def _read(data: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(data) if data.suffix == ".parquet" else pd.read_csv(data)
    except (OSError, ValueError, UnicodeError) as error:
        raise CollectError(f"{data}: cannot be read as a table: {error}") from error


def _validate(frame: pd.DataFrame, expectations: Sequence[Any], name: str) -> list[Any]:
    """One suite for one batch: Great Expectations hashes the whole frame for every validation."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # It speaks of temporary folders, at a level that it sets itself.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("data").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name=name, expectations=list(expectations))
    results = list(batch.validate(suite, result_format="COMPLETE").results)
    if len(results) != len(expectations):
        raise CollectError(f"{name}: of {len(expectations)} expectations only {len(results)} were evaluated")
    return results


def _raised(result: Any) -> bool:
    """Whether evaluating an expectation failed: Great Expectations reports that as success=False alone."""
    info = result.exception_info or {}
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(bool(one.get("raised_exception")) for one in info.values() if isinstance(one, dict))


def _name_of(config: Any) -> str:
    kwargs = {key: value for key, value in config.kwargs.items() if key != "batch_id"}
    columns = [str(kwargs[key]) for key in ("column", "column_A", "column_B") if key in kwargs]
    condition = f" where {kwargs['row_condition']}" if kwargs.get("row_condition") else ""
    return f"{' and '.join(columns) or 'table'}: {config.type.removeprefix('expect_').replace('_', ' ')}{condition}"


def _observed(result: Any) -> str:
    if _raised(result):
        return f"could not be evaluated: {json.dumps(result.exception_info, default=str)[:300]}"
    values = result.result or {}
    if "unexpected_count" in values:
        shown = [str(value)[:40] for value in (values.get("partial_unexpected_list") or [])[:_SHOWN]]
        examples = f" ({', '.join(shown)})" if shown else ""
        return f"{int(values['unexpected_count'])} of {int(values.get('element_count') or 0)} unexpected{examples}"
    return f"observed {str(values.get('observed_value'))[:200]}"


def _unexpected_rows(result: Any) -> Iterable[int]:
    return (int(index) for index in (result.result or {}).get("unexpected_index_list") or ())


def _outcome(result: DataQualityResult) -> Outcome:
    if result.rows == 0:
        return "inconclusive"
    if result.errored:
        return "errored" if not result.failed else "failed"
    return "failed" if result.failed else "passed"


def _tools() -> dict[str, str]:
    import great_expectations as gx

    return {"great-expectations": gx.__version__, "pandas": pd.__version__}


def _described(results: Sequence[Any], rows: int) -> bytes:
    """What was seen of each expectation, as it is attached."""
    described = [
        {
            "name": _name_of(result.expectation_config),
            "expectation": result.expectation_config.to_json_dict(),
            "success": bool(result.success),
            "raised": _raised(result),
            "observed": _observed(result),
            "unexpected_rows": list(_unexpected_rows(result)),
        }
        for result in results
    ]
    return json.dumps({"rows": rows, "results": described}, indent=1, ensure_ascii=False, default=str).encode()


def _bad_rows(frame: pd.DataFrame, results: Sequence[Any]) -> list[AttachmentContent]:
    bad_rows = sorted({index for result in results for index in _unexpected_rows(result)})
    if not bad_rows:
        return []
    rows = frame.loc[bad_rows[:_BAD_ROWS_KEPT]].to_csv(index=True)
    return [AttachmentContent("unexpected-rows.csv", "text/csv", rows.encode())]
