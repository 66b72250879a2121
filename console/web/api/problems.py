"""Errors of the API as RFC 9457 problem details, and nothing of what caused them inside."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.web.bearer import WrongTokenError
from console.web.visitors import SignInNeededError
from playbooks.errors import KeyquellError

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong: ``title`` names the kind of error, ``detail`` says what to do about this one."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(default="about:blank", description="RFC 9457 section 4.2.1: the status says it all.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """The response of an error."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def answer_problems(api: FastAPI) -> None:
    """Every error that a request can end in becomes a problem."""
    api.add_exception_handler(HTTPException, _failed)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(SignInNeededError, _stranger)
    api.add_exception_handler(WrongTokenError, _wrong)
    api.add_exception_handler(KeyquellError, _unready)


def documented(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with every error of every operation as a problem."""
    schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    for path, methods in schema["paths"].items():
        statuses = [401, 422, 503, *([404] if "{" in path else [])]
        for operation in methods.values():
            for status in sorted(statuses):
                operation["responses"][str(status)] = {
                    "description": HTTPStatus(status).phrase,
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    return schema


async def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for nothing else
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for nothing else
    told = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
    return problem(422, "; ".join(told))


async def _stranger(_request: Request, _error: Exception) -> Response:
    return problem(401, "Send the token of `web.api_token`, or sign in.", {"www-authenticate": "Bearer"})


async def _wrong(_request: Request, _error: Exception) -> Response:
    told = {"www-authenticate": 'Bearer error="invalid_token"'}
    return problem(401, "The token is not the one of `web.api_token`.", told)


async def _unready(_request: Request, error: Exception) -> Response:
    assert isinstance(error, KeyquellError)  # noqa: S101 - the handler is registered for nothing else
    return problem(503, error.message, {"retry-after": "5"})
