"""Validate one dataset with one suite, quietly, and count what was really evaluated."""

import importlib
import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from evidence.measurement import AttachmentContent, Measurement, Outcome
from evidence.results import Check, DataQualityResult
from processes.errors import CollectError, UsageError

_SHOWN = 5


def check_data(suite: str, data: Path, *, work_dir: Path) -> Measurement:  # noqa: ARG001 - as every collector
    """Validate the file ``data`` (CSV or Parquet) with the expectations of the module ``suite``.

    Returns a DataQualityResult. An expectation that could not be evaluated is errored, never passed; a table without
    rows is inconclusive. Raises UsageError for a wrong suite and CollectError for a file that cannot be read.
    """
    started_at = datetime.now(UTC)
    expectations = _expectations(suite)
    frame = _read(data)
    results = _validate(frame, expectations, data.stem)
    details = [_detail(result) for result in results]
    errored = sum(_raised(result) for result in results)
    passed = sum(detail.passed for detail in details)
    bad_rows = sorted({index for result in results for index in _unexpected_rows(result)})
    result = DataQualityResult(
        dataset=data.name,
        rows=len(frame),
        expectations=len(expectations),
        passed=passed,
        failed=len(details) - passed - errored,
        errored=errored,
        unexpected_rows=len(bad_rows),
        details=details,
    )
    return Measurement(
        result=result,
        outcome=_outcome(result),
        summary=f"{data.name}: {passed} of {len(expectations)} expectations hold on {len(frame)} rows"
        + (f", {len(bad_rows)} rows unexpected" if bad_rows else ""),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"suite": suite, "data": data.name},
        tools=_tools(),
        attachments=_attachments(frame, results, bad_rows),
    )


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


def _detail(result: Any) -> Check:
    config = result.expectation_config
    kwargs = {key: value for key, value in config.kwargs.items() if key != "batch_id"}
    return Check(name=_name(config.type, kwargs), passed=bool(result.success), observed=_observed(result))


def _name(expectation: str, kwargs: dict[str, Any]) -> str:
    columns = [str(kwargs[key]) for key in ("column", "column_A", "column_B") if key in kwargs]
    condition = f" where {kwargs['row_condition']}" if kwargs.get("row_condition") else ""
    return f"{' and '.join(columns) or 'table'}: {expectation.removeprefix('expect_').replace('_', ' ')}{condition}"


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


def _attachments(frame: pd.DataFrame, results: Sequence[Any], bad_rows: Sequence[int]) -> list[AttachmentContent]:
    described = [
        {"expectation": r.expectation_config.to_json_dict(), "success": bool(r.success), "observed": _observed(r)}
        for r in results
    ]
    text = json.dumps(described, indent=1, ensure_ascii=False, default=str)
    attachments = [AttachmentContent("validation.json", "application/json", text.encode())]
    if bad_rows:
        rows = frame.loc[list(bad_rows[:1000])].to_csv(index=True)
        attachments.append(AttachmentContent("unexpected-rows.csv", "text/csv", rows.encode()))
    return attachments
