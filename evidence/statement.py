"""Records as in-toto Statements v1 (https://github.com/in-toto/attestation, spec/v1/statement.md)."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from evidence.kinds import RESULTS
from evidence.measurement import LeftOut, Measurement, Outcome
from evidence.moment import Moment
from evidence.record import Attachment, Record, Subject
from evidence.results import TestSuiteResult
from processes.errors import IntegrityError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
_TEST_RESULTS: dict[Outcome, str] = {
    "passed": "PASSED",
    "failed": "FAILED",
    "inconclusive": "FAILED",
    "errored": "FAILED",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class _LeftOut(_Part):
    what: str
    count: int
    why: str


class _Attachment(_Part):
    name: str
    media_type: str = Field(alias="mediaType")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int = Field(alias="sizeBytes")


class EvidencePredicate(_Part):
    """What every kind of evidence says: what was measured, when, with what, and with which result."""

    kind: str
    collector: str
    outcome: Literal["passed", "failed", "inconclusive", "errored"]
    summary: str
    started_on: Moment = Field(alias="startedOn")
    finished_on: Moment = Field(alias="finishedOn")
    commit: str | None
    inputs: dict[str, str]
    parameters: dict[str, str | int | float | bool | None]
    tools: dict[str, str]
    result: dict[str, JsonValue]
    left_out: list[_LeftOut] = Field(alias="leftOut")
    attachments: list[_Attachment]


def predicate_type(kind: str) -> str:
    """The predicate type of a kind: in-toto's own for test suites, else a versioned URN."""
    return TEST_RESULT_TYPE if kind == "test-suite" else f"urn:gonogo:evidence:{kind}:v1"


def statement_subject(subject: Subject) -> dict[str, Any]:
    """A subject as in-toto's ResourceDescriptor."""
    algorithm, _, digest = subject.digest.partition(":")
    return {"name": subject.name, "annotations": {"version": subject.version}, "digest": {algorithm: digest}}


def build_statement(
    subject: Subject,
    collector: str,
    inputs: Mapping[str, str],
    measurement: Measurement,
    attachments: list[Attachment],
) -> dict[str, Any]:
    """The statement that one measurement makes about a subject."""
    predicate = EvidencePredicate(
        kind=measurement.kind,
        collector=collector,
        outcome=measurement.outcome,
        summary=measurement.summary,
        started_on=measurement.started_at,
        finished_on=measurement.finished_at,
        commit=subject.commit,
        inputs=dict(inputs),
        parameters=dict(measurement.parameters),
        tools=dict(measurement.tools),
        result=measurement.result.model_dump(mode="json"),
        left_out=[_LeftOut(what=x.what, count=x.count, why=x.why) for x in measurement.left_out],
        attachments=[
            _Attachment(name=a.name, media_type=a.media_type, sha256=a.sha256, size_bytes=a.size_bytes)
            for a in attachments
        ],
    ).model_dump(mode="json", by_alias=True)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [statement_subject(subject)],
        "predicateType": predicate_type(measurement.kind),
        "predicate": _as_test_result(measurement, inputs, predicate) if measurement.kind == "test-suite" else predicate,
    }


def _as_test_result(measurement: Measurement, inputs: Mapping[str, str], predicate: dict[str, Any]) -> dict[str, Any]:
    """in-toto test-result v0.1 with our own fields under ``gonogo``."""
    assert isinstance(measurement.result, TestSuiteResult)
    return {
        "result": _TEST_RESULTS[measurement.outcome],
        "configuration": [
            {"name": name, "digest": dict([digest.split(":", 1)])} for name, digest in sorted(inputs.items())
        ],
        "failedTests": list(measurement.result.not_passed),
        "gonogo": predicate,
    }


def parse_statement(statement: dict[str, Any], *, record_id: str, sequence: int, signed_by: str) -> Record:
    """The record that a verified statement holds. Raises IntegrityError."""
    try:
        if statement["_type"] != STATEMENT_TYPE:
            raise IntegrityError("is no in-toto statement v1")
        (subject,) = statement["subject"]
        ((algorithm, digest),) = subject["digest"].items()
        raw = statement["predicate"]
        own = raw["gonogo"] if statement["predicateType"] == TEST_RESULT_TYPE else raw
        predicate = EvidencePredicate.model_validate(own)
        if statement["predicateType"] != predicate_type(predicate.kind):
            raise IntegrityError(f"is {predicate.kind} evidence under another predicate type")
        result = RESULTS[predicate.kind].model_validate(predicate.result, strict=False)
        return Record(
            record_id=record_id,
            sequence=sequence,
            subject=Subject(
                name=subject["name"],
                version=subject["annotations"]["version"],
                digest=f"{algorithm}:{digest}",
                commit=predicate.commit,
            ),
            collector=predicate.collector,
            inputs=predicate.inputs,
            result=result,
            outcome=predicate.outcome,
            summary=predicate.summary,
            started_at=predicate.started_on,
            finished_at=predicate.finished_on,
            parameters=predicate.parameters,
            tools=predicate.tools,
            left_out=tuple(LeftOut(x.what, x.count, x.why) for x in predicate.left_out),
            attachments=tuple(Attachment(a.name, a.media_type, a.sha256, a.size_bytes) for a in predicate.attachments),
            signed_by=signed_by,
        )
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise IntegrityError(f"is no evidence that this version knows: {error}") from error
