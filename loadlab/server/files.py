"""`/v1/files`: what was uploaded and what batches wrote: files in one folder, a JSON page beside each.

The folder is the whole state, so every front process sees the same files.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from loadlab.server.bodies import ApiError, Document

_ID = re.compile(r"(file|batch)[-_][0-9a-f]{24}")
_PIECE = 1 << 16


class Folder:
    """A folder of documents and contents by id."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """The page of a `kind` by id. Raises ApiError."""
        if _ID.fullmatch(name) and name.startswith(kind):
            try:
                document: dict[str, Any] = orjson.loads((self.path / f"{name}.json").read_bytes())
            except FileNotFoundError:
                pass
            else:
                return document
        raise ApiError(404, f"There is no {kind} '{name}' here.", f"{kind}_id")

    def write(self, document: Document) -> None:
        """Puts a page into place, whole or not at all."""
        final = self.path / f"{document['id']}.json"
        draft = final.with_suffix(f".{secrets.token_hex(4)}.draft")
        draft.write_bytes(orjson.dumps(document))
        os.replace(draft, final)

    def pages(self, kind: str) -> list[dict[str, Any]]:
        """All pages of a kind, newest first."""
        found = [orjson.loads(path.read_bytes()) for path in self.path.glob(f"{kind}[-_]*.json")]
        return sorted(found, key=lambda page: (page["created_at"], page["id"]), reverse=True)

    def content(self, file_id: str) -> Path:
        """Where the content of a file lies."""
        return self.path / f"{file_id}.content"

    def add(self, name: str, purpose: str) -> dict[str, Any]:
        """The page of a new file, not yet written; its content is to be put at `content(id)`."""
        return {
            "id": f"file-{secrets.token_hex(12)}",
            "object": "file",
            "bytes": 0,
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }

    def close(self, page: dict[str, Any]) -> dict[str, Any]:
        """Writes the page of a file whose content is there."""
        page["bytes"] = self.content(page["id"]).stat().st_size
        self.write(page)
        return page

    def delete(self, file_id: str) -> None:
        """Removes a file. Raises ApiError."""
        self.read("file", file_id)
        self.content(file_id).unlink(missing_ok=True)
        (self.path / f"{file_id}.json").unlink(missing_ok=True)


class Files:
    """The routes of files; one upload may have `limit` bytes."""

    def __init__(self, folder: Folder, limit: int) -> None:
        self._folder, self._limit = folder, limit

    async def upload(self, request: web.Request) -> dict[str, Any]:
        """Takes a multipart form with `purpose` and `file`. Raises ApiError."""
        if not request.content_type.startswith("multipart/"):
            raise ApiError(400, "Send the file as multipart/form-data with the fields purpose and file.")
        page: dict[str, Any] | None = None
        purpose = ""
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "purpose":
                purpose = (await part.read()).decode("utf-8", "replace")[:64]
            elif isinstance(part, BodyPartReader) and part.name == "file":
                page = await self._take(part)
        if page is None or purpose != "batch":
            self._forget(page)
            wrong = f"purpose must be 'batch', not '{purpose}'" if page else "the form has no field 'file'"
            raise ApiError(400, f"{wrong[0].upper()}{wrong[1:]}.", "purpose" if page else "file")
        return self._folder.close(page)

    def page(self, request: web.Request) -> dict[str, Any]:
        """What is known of one file. Raises ApiError."""
        return self._folder.read("file", request.match_info["id"])

    def pages(self) -> dict[str, Any]:
        """All files."""
        return {"object": "list", "data": self._folder.pages("file"), "has_more": False}

    def content(self, request: web.Request) -> web.FileResponse:
        """The content of one file. Raises ApiError."""
        page = self.page(request)
        return web.FileResponse(
            self._folder.content(page["id"]), headers={"Content-Type": "application/octet-stream"}
        )

    def delete(self, request: web.Request) -> dict[str, Any]:
        """Removes one file. Raises ApiError."""
        self._folder.delete(request.match_info["id"])
        return {"id": request.match_info["id"], "object": "file", "deleted": True}

    async def _take(self, part: BodyPartReader) -> dict[str, Any]:
        page = self._folder.add(part.filename or "upload.jsonl", "batch")
        size = 0
        try:
            with self._folder.content(page["id"]).open("wb") as file:
                while piece := await part.read_chunk(_PIECE):
                    size += len(piece)
                    if size > self._limit:
                        raise ApiError(
                            413, f"The file is larger than {self._limit} bytes; send less.", "file"
                        )
                    file.write(piece)
        except BaseException:  # also when the client went away
            self._forget(page)
            raise
        return page

    def _forget(self, page: dict[str, Any] | None) -> None:
        if page:
            self._folder.content(page["id"]).unlink(missing_ok=True)
