"""JSON that a browser sends to our own pages."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import HTTPException, Request


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises HTTPException 415 for another content type (which a form on a foreign page could send), and 400 when it is no
    JSON object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "The browser did not send JSON.")
    try:
        document = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, "The browser sent something that cannot be read.") from error
    if not isinstance(document, dict):
        raise HTTPException(400, "The browser sent something that cannot be read.")
    return document
