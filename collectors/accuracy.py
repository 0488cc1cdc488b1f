"""Run a command that says who was right in each case, and reckon from its rows how accurate each method is."""

import os
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from collectors.paired_accuracy import compare, read_outcomes
from evidence.accuracy_result import AccuracyResult
from evidence.measurement import AttachmentContent, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached, text
from processes.errors import CollectError, InputError
from processes.supervised import supervised

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
_OUTCOMES = "outcomes.csv"
_LARGEST_BYTES = 64_000_000


def run_accuracy(
    command: str, *, candidate: str, baseline: str, cwd: Path, work_dir: Path, timeout_s: float
) -> Measurement:
    """Run ``command``, in which ``{output}`` becomes the file that it must write; returns an AccuracyResult.

    The file has a row per case: its unit, and 1 or 0 for each method. Passed when the candidate is shown to be right
    more often than the baseline, failed when it is not, inconclusive without two units. Raises CollectError when the
    command fails or writes no usable file, ProcessError when it does not end in time.
    """
    output = (work_dir / _OUTCOMES).resolve()
    output.unlink(missing_ok=True)
    words = [word.replace("{output}", str(output)) for word in shlex.split(command)]
    if not words or "{output}" not in command:
        raise CollectError("the command of an accuracy names {output}, the file that it writes")
    if words[0] in ("python", "python3"):
        words[0] = sys.executable
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    started_at = datetime.now(UTC)
    with supervised(
        "the accuracy's command", words, log=work_dir / "accuracy.log", env=environment, cwd=cwd
    ) as process:
        exit_code = process.wait(timeout_s)
        last = process.last_lines(20)
    if exit_code != 0 or not output.is_file():
        raise CollectError(f"the accuracy's command ended with {exit_code}; its last output:\n{last}")
    if output.stat().st_size > _LARGEST_BYTES:
        raise CollectError(f"the accuracy's command wrote more than {_LARGEST_BYTES // 1_000_000} MB")
    content = output.read_bytes()
    try:
        result = compare(read_outcomes(content, _OUTCOMES), candidate, baseline)
    except InputError as error:
        raise CollectError(f"the accuracy's command: {error}") from error
    return Measurement(
        result=result,
        outcome=outcome_of(result),
        summary=_summary(result),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"command": command, "candidate": candidate, "baseline": baseline},
        tools={"scipy": version("scipy"), "numpy": version("numpy")},
        attachments=[AttachmentContent(_OUTCOMES, "text/csv", content)],
    )


def outcome_of(result: AccuracyResult) -> Outcome:
    """Whether the candidate is shown to be right more often than the baseline."""
    if not result.cases or result.gain_low is None:
        return "inconclusive"
    return "passed" if result.gain_low > 0 else "failed"


def replay_accuracy(record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome again, from the outcomes of each case. Raises UnrecordedError and InputError."""
    outcomes = read_outcomes(attached(attachments, _OUTCOMES), _OUTCOMES)
    result = compare(outcomes, text(record, "candidate"), text(record, "baseline"))
    return Recomputed(result, outcome_of(result))


def _summary(result: AccuracyResult) -> str:
    if result.gain is None or result.gain_low is None or result.gain_high is None:
        return f"{result.cases} cases of {result.units} units are too few"
    accuracies: Mapping[str, float] = {method.method: method.accuracy for method in result.methods}
    said = ", ".join(f"{method} {accuracy:.1%}" for method, accuracy in accuracies.items())
    return (
        f"{result.candidate} {100 * result.gain:+.1f} points on {result.baseline} "
        f"({100 * result.gain_low:+.1f} to {100 * result.gain_high:+.1f}) in {result.cases} cases: {said}"
    )
