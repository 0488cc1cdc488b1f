"""Errors as RFC 9457 problem details, which never show the inside of the service."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from engines.conversation.session import ClosedSession, TooManyWaiting, UnknownSession, WrongCursor

_log = structlog.get_logger("ion")

MEDIA_TYPE = "application/problem+json"
# What any route may answer that needs a key, because the gate does.
GATE_STATUSES = (400, 401, 408, 413, 429, 500, 503)
_LONGEST_DETAIL = 300
# What answers carry so that a client can come back at a good time.
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}


class Problem(BaseModel):
    """The body of every error answer."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for the OpenAPI document."""
    schema = Problem.model_json_schema()
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        phrase = HTTPStatus(status).phrase
        example = {"type": "about:blank", "title": phrase, "status": status, "detail": "what was wrong, in one line"}
        found[status] = {"description": phrase, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}
        if status in (429, 503):
            found[status]["headers"] = _RETRY
    return found


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error answer. What of the request is in the detail is cut, and made fit to be sent."""
    detail = detail[:_LONGEST_DETAIL].encode("utf-8", "replace").decode()
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def handle_errors(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return problem(422, f"{where or 'body'}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(UnknownSession)
    async def unknown(_request: Request, _error: UnknownSession) -> JSONResponse:
        return problem(404, "there is no such session")

    @app.exception_handler(ClosedSession)
    async def closed(_request: Request, _error: ClosedSession) -> JSONResponse:
        return problem(409, "the session is closed or has had all its turns")

    @app.exception_handler(TooManyWaiting)
    async def too_many(_request: Request, _error: TooManyWaiting) -> JSONResponse:
        return problem(409, "too many turns of this session wait; this one was not taken")

    @app.exception_handler(WrongCursor)
    async def no_page(_request: Request, _error: WrongCursor) -> JSONResponse:
        return problem(422, "cursor: expected a next_cursor of an earlier answer")

    @app.exception_handler(SQLAlchemyError)
    async def no_database(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        _log.error("the database does not answer", exc_info=error)
        return problem(503, "the service cannot answer now", {"Retry-After": "1"})

    @app.exception_handler(Exception)
    async def failed(_request: Request, error: Exception) -> JSONResponse:
        _log.error("request failed", exc_info=error)
        return problem(500, "the request could not be answered")
