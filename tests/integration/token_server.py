"""Servers that give tokens out, over real sockets: each token is new and lasts so long."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class TokenServer:
    """Answers every path as the login and metadata services of Azure and Google do.

    `asked` holds what came: path, query or form, headers. With `refuses`, it says that instead.
    """

    def __init__(self, lasts_s: float = 3600.0, refuses: str = "", epoch: bool = False) -> None:
        self.lasts_s, self.refuses, self.epoch = lasts_s, refuses, epoch
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.given: dict[str, float] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                self._answer(self.rfile.read(length).decode())

            def do_GET(self) -> None:
                self._answer(urlsplit(self.path).query)

            def _answer(self, form: str) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                fields = {name: values[0] for name, values in parse_qs(form).items()}
                server.asked.append((urlsplit(self.path).path, fields, headers))
                status, document = server.answer()
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Metadata-Flavor", "Google")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def answer(self) -> tuple[int, dict[str, Any]]:
        if self.refuses:
            return 401, {"error": "invalid_client", "error_description": self.refuses}
        token = f"token-{len(self.given) + 1}"
        self.given[token] = ends = time.time() + self.lasts_s
        when = {"expires_on": str(int(ends))} if self.epoch else {"expires_in": self.lasts_s}
        return 200, {"token_type": "Bearer", "access_token": token, **when}

    def good(self, token: str) -> bool:
        return self.given.get(token, 0.0) > time.time()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)
