"""Forms of several parts, with one file in them (multipart/form-data)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256


def form(fields: Mapping[str, object], name: str, content: bytes, kind: str) -> tuple[str, bytes]:
    """The content type and the body of a form whose part `file` has that name and kind."""
    boundary = sha256(content).hexdigest()[:32]  # a boundary that the parts do not contain
    parts = [_field(boundary, *field) for field in fields.items()]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = b"".join((*parts, head.encode(), content, f"\r\n--{boundary}--\r\n".encode()))
    return f"multipart/form-data; boundary={boundary}", body


def _field(boundary: str, name: str, value: object) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
