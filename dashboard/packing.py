"""Responses made small: gzip where the browser takes it; a file that does not change is packed once."""

from __future__ import annotations

import gzip
from functools import lru_cache

from flask import Response

_WORTH_IT = 1024
_TEXT = ("text/", "application/json", "application/javascript", "image/svg")


def packed(response: Response, accepted: str) -> Response:
    """The response, compressed if that is worth it."""
    response.vary.add("Accept-Encoding")
    if "gzip" not in accepted or response.status_code != 200 or "Content-Encoding" in response.headers:
        return response
    if not (response.mimetype or "").startswith(_TEXT):
        return response
    body = _whole(response)
    if len(body) < _WORTH_IT:
        return response
    lasting = "max-age" in response.headers.get("Cache-Control", "")
    response.set_data(_once(body) if lasting else gzip.compress(body, 3))
    response.headers["Content-Encoding"] = "gzip"
    return response


def _whole(response: Response) -> bytes:
    streamed, response.direct_passthrough = response.direct_passthrough, False
    body = response.get_data()
    if streamed:
        response.close()  # the file behind it
    return body


@lru_cache(maxsize=64)
def _once(body: bytes) -> bytes:
    return gzip.compress(body, 9)
