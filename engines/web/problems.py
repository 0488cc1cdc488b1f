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

from engines.conversation.sessions import ClosedSession, TurnInProgress, UnknownSession

_log = structlog.get_logger("ion")

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """The body of every error answer."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error answer."""
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

    @app.exception_handler(TurnInProgress)
    async def in_progress(_request: Request, _error: TurnInProgress) -> JSONResponse:
        return problem(409, "another turn of this session was in progress, send it again")

    @app.exception_handler(SQLAlchemyError)
    async def no_database(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        _log.error("the database does not answer", exc_info=error)
        return problem(503, "the service cannot answer now")

    @app.exception_handler(Exception)
    async def failed(_request: Request, error: Exception) -> JSONResponse:
        _log.error("request failed", exc_info=error)
        return problem(500, "the request could not be answered")
