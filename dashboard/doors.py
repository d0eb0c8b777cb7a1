"""The door before every address: who comes, as whom, from which site. Knows Flask, holds no secret."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from flask import Flask, Response, redirect, request
from werkzeug.wrappers import Response as Answer

from .access import Access, Role, become

COOKIE = "loadlab_session"
_WRONG = "<p role='alert'>This is not the secret.</p>"
_OPEN = ("/healthz", "/login", "/logout")
_LOGIN = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Log in · loadlab</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; }
body { display: grid; place-items: center; min-height: 90vh; }
form { display: grid; gap: 12px; width: min(320px, 88vw); }
h1 { font-size: 20px; margin: 0; } p { margin: 0; }
input, button { font: inherit; padding: 8px 10px; }
</style></head>
<body><main><form method="post"><h1>loadlab</h1>NOTE
<label for="secret">Secret of this dashboard</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button></form></main></body></html>"""


def add_doors(server: Flask, access: Access, prefix: str) -> None:
    """Puts the door before every route, also Dash's own; adds /login and /logout."""

    @server.before_request
    def enter() -> Any:
        if not _from_here():
            return _refused(403, "This request comes from another site, so it is not served.")
        if not access.asks and access.names and _host_name() not in access.names:
            return _refused(403, _WRONG_NAME)
        role = _role(access)
        become(role or "reader")
        if role is None and request.path not in _OPEN:
            return _turned_away(prefix)
        return None

    server.add_url_rule("/login", "login", lambda: _login(access, prefix), methods=["GET", "POST"])
    server.add_url_rule("/logout", "logout", lambda: _logout(prefix))


_WRONG_NAME = (
    "This dashboard answers only to localhost, because it asks nobody who they are. Give it a secret "
    "(--token-env NAME) or say that anybody may read it (--auth none)."
)


def _role(access: Access) -> Role | None:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return access.of_secret(secret)
    if kind.lower() == "basic" and request.authorization:
        return access.of_secret(request.authorization.password or "")
    user = request.headers.get(access.header, "") if access.header else ""
    return (
        access.of_user(request.remote_addr or "", user)
        or access.of_session(request.cookies.get(COOKIE, ""))
        or access.of_nobody()
    )


def _from_here() -> bool:
    """Whether a request that may change something was made by our own page, or by no browser at all."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return True
    if site := request.headers.get("Sec-Fetch-Site"):
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _host_name() -> str:
    return urlsplit(f"//{request.host}").hostname or ""


def _turned_away(prefix: str) -> Answer:
    if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
        back = quote(request.full_path.rstrip("?"), safe="/?=&,:")
        return redirect(f"{prefix}login?next={quote(back, safe='')}")
    answer = _refused(401, "Log in at /login, or send the secret: Authorization: Bearer SECRET.")
    answer.headers["WWW-Authenticate"] = 'Bearer realm="loadlab"'
    return answer


def _refused(status: int, why: str) -> Response:
    return Response(f"{why}\n", status, mimetype="text/plain")


def _login(access: Access, prefix: str) -> Answer:
    if request.method == "GET":
        return Response(_LOGIN.replace("NOTE", ""), mimetype="text/html")
    role = access.of_secret(request.form.get("secret", ""))
    if role is None:
        return Response(_LOGIN.replace("NOTE", _WRONG), 401, mimetype="text/html")
    answer = redirect(prefix + _back(request.args.get("next", "")), 303)
    answer.set_cookie(
        COOKIE, access.session(role), httponly=True, samesite="Strict", secure=request.is_secure, path=prefix
    )
    return answer


def _back(asked: str) -> str:
    """The page to go to after the login; never one of another site."""
    inside = asked.startswith("/") and not asked.startswith(("//", "/\\")) and asked.isprintable()
    return asked.removeprefix("/") if inside else ""


def _logout(prefix: str) -> Answer:
    answer = redirect(f"{prefix}login", 303)
    answer.delete_cookie(COOKIE, path=prefix)
    return answer
