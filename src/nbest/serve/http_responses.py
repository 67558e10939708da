"""HTTP responses of JSON: replies and errors."""

from __future__ import annotations

import msgspec
from aiohttp import web

from nbest.serve.api_errors import ApiError
from nbest.types import Json

_UNAUTHORIZED = 401


def json_response(data: Json, *, status: int = 200) -> web.Response:
    """`data` as JSON."""
    return web.Response(body=msgspec.json.encode(data), status=status, content_type="application/json")


def error_response(error: ApiError) -> web.Response:
    """The error as its client gets it."""
    response = json_response(error.body, status=error.status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if error.status == _UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
