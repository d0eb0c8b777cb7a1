"""What stands before the routes: refusals in the shape of each dialect, and the key."""

from __future__ import annotations

import hmac
import traceback

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from loadlab.core.errors import LoadlabError
from loadlab.server import anthropic, openai
from loadlab.server.bodies import ApiError
from loadlab.server.job import EngineError

OPEN_PATHS = ("/health", "/metrics", "/sim/ledger")
MESSAGES = "/v1/messages"


def refusals(max_body_bytes: int) -> Middleware:
    """Every refusal leaves in the shape of its dialect."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except LoadlabError as error:
            return _refused(request, refusal(error))
        except web.HTTPException as error:
            return _refused(request, ApiError(error.status, _explain(request, error, max_body_bytes)))
        except ConnectionResetError:
            raise
        except Exception:
            traceback.print_exc()
            message = "The server failed on this request; its stderr has the traceback."
            return _refused(request, ApiError(500, message))

    return refuse


def refusal(error: LoadlabError) -> ApiError:
    """Any error of ours as a refusal; what is no request's fault is the server's: 503."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, EngineError):
        return ApiError(error.status, str(error), retry_after_s=error.retry_after_s)
    return ApiError(503, str(error))


def _explain(request: web.Request, error: web.HTTPException, max_body_bytes: int) -> str:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return f"The body is larger than {max_body_bytes} bytes; send less."
    return f"{request.method} {request.path}: {error.reason}."


def _refused(request: web.Request, error: ApiError) -> web.Response:
    dialect = anthropic if request.path.startswith(MESSAGES) else openai
    body = orjson.dumps(dialect.error_document(error))
    response = web.Response(body=body, status=error.status, content_type="application/json")
    if error.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
    return response


def key_guard(key: str) -> Middleware:
    """Asks for the key on every path but those that only watch."""
    expected = key.encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = _given_key(request).encode("utf-8", "surrogateescape")
        if request.path not in OPEN_PATHS and not hmac.compare_digest(given, expected):
            message = (
                "This server asks for an API key: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
            )
            raise ApiError(401, message, code="invalid_api_key")
        return await handler(request)

    return guard


def _given_key(request: web.Request) -> str:
    bearer = request.headers.get(hdrs.AUTHORIZATION, "")
    return (
        bearer.removeprefix("Bearer ")
        if bearer.startswith("Bearer ")
        else request.headers.get("x-api-key", "")
    )
