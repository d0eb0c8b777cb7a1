"""Who gets into the dashboard, what they may do there, and what its answers carry."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import dashboard_data as made
import pytest
from flask.testing import FlaskClient

import dashboard
import loadlab.store
from dashboard import Access
from dashboard.access import ReadOnlyError, acting_as, may_change, require_operator
from loadlab.store import Store

READER, OPERATOR = "a-secret-of-readers", "a-secret-of-operators"
RUN = "20261121-091502-a1b2"
BOTH = Access(secrets={"reader": READER, "operator": OPERATOR})
BROWSER = {"Accept": "text/html,*/*"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with loadlab.store.open(f"sqlite:///{tmp_path_factory.mktemp('access')}/runs.db") as opened:
        made.fill(opened, made.sweep(RUN, users=(1, 16), requests=24, failing=0.5))
        yield opened


def client(store: Store, access: Access | None = None, prefix: str = "/") -> FlaskClient:
    server = dashboard.create_app(store, access=access, prefix=prefix).server
    server.test_client_class = Whole
    return server.test_client()


class Whole(FlaskClient):
    """A client that reads every answer to its end, so that no file stays open."""

    def open(self, *args: Any, **options: Any) -> Any:
        return super().open(*args, **{"buffered": True, **options})


EVERY_KIND = [
    "/", "/tradeoff", f"/run/{RUN}", "/nope", "/_dash-layout", "/_dash-dependencies",
    "/assets/loadlab.css", "/export/page.html?path=/", "/_loadlab/x",
]  # fmt: skip


@pytest.mark.parametrize("path", EVERY_KIND)
def test_without_the_secret_nothing_is_served(store: Store, path: str) -> None:
    asked = client(store, BOTH)
    assert asked.get(path).status_code == 401
    assert asked.post("/_dash-update-component", json={}).status_code == 401
    assert asked.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    sent = asked.get(path, headers=BROWSER)
    assert sent.status_code == 302
    assert sent.headers["Location"].startswith("/login?next=")


@pytest.mark.parametrize(
    "header", [f"Bearer {READER}", "Basic " + base64.b64encode(f"me:{READER}".encode()).decode()]
)
def test_the_secret_in_a_header_lets_in(store: Store, header: str) -> None:
    assert client(store, BOTH).get("/_dash-layout", headers={"Authorization": header}).status_code == 200


def test_login_keeps_a_session_that_no_script_reads(store: Store) -> None:
    asked = client(store, BOTH)
    assert asked.get("/login").status_code == 200
    assert asked.post("/login", data={"secret": "wrong"}).status_code == 401
    done = asked.post("/login?next=/tradeoff%3Fx%3Dusers", data={"secret": OPERATOR})
    assert (done.status_code, done.headers["Location"]) == (303, "/tradeoff?x=users")
    cookie = done.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert OPERATOR not in cookie
    assert b"may change" in asked.get("/_dash-layout").data
    asked.get("/logout")
    assert asked.get("/_dash-layout").status_code == 401


@pytest.mark.parametrize(
    "where", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example"]
)
def test_login_leads_to_no_other_site(store: Store, where: str) -> None:
    done = client(store, BOTH).post("/login", query_string={"next": where}, data={"secret": READER})
    assert done.headers["Location"] == "/"


@pytest.mark.parametrize(
    "kept",
    [
        "operator." + BOTH.session("reader").split(".", 1)[1],
        BOTH.session("reader", now_s=1.0),
        BOTH.session("reader")[:-1],
        "reader.x.y",
        "",
    ],
)
def test_a_session_that_was_changed_or_has_ended_is_none(kept: str) -> None:
    assert BOTH.of_session(kept) is None
    assert BOTH.of_session(BOTH.session("reader")) == "reader"


def test_a_session_of_an_older_secret_is_none() -> None:
    assert Access(secrets={"reader": "another-secret-now"}).of_session(BOTH.session("reader")) is None


def test_a_user_is_believed_from_the_proxy_alone(store: Store) -> None:
    access = Access(header="X-User", proxies=frozenset({"10.0.0.2"}), operators=frozenset({"ann"}))
    asked = client(store, access)

    def layout(peer: str, user: str) -> Any:
        return asked.get("/_dash-layout", headers={"X-User": user}, environ_base={"REMOTE_ADDR": peer})

    assert layout("10.0.0.9", "ann").status_code == 401
    assert b"read-only" in layout("10.0.0.2", "bob").data
    assert b"may change" in layout("10.0.0.2", "ann").data
    assert asked.get("/_dash-layout", environ_base={"REMOTE_ADDR": "10.0.0.2"}).status_code == 401


def test_without_a_login_only_this_machine_is_answered(store: Store) -> None:
    for host, status in (
        ("localhost:8050", 200),
        ("127.0.0.1:8050", 200),
        ("[::1]:8050", 200),
        ("evil.example", 403),
    ):
        assert client(store).get("/", headers={"Host": host}).status_code == status
    open_to_all = Access(names=frozenset())
    assert client(store, open_to_all).get("/", headers={"Host": "bench.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_another_site_cannot_call(store: Store, headers: dict[str, str]) -> None:
    assert client(store).post("/_dash-update-component", json={}, headers=headers).status_code == 403


def test_readers_change_nothing() -> None:
    assert not may_change()
    with pytest.raises(ReadOnlyError, match="read-only"):
        require_operator()
    with acting_as("operator"):
        require_operator()
    assert Access(changes=True).of_nobody() == "operator"
    assert Access().of_nobody() == "reader"


def test_every_answer_says_what_a_browser_may_do(store: Store) -> None:
    for path in ("/", "/nope", "/_dash-layout", "/assets/loadlab.js", "/healthz"):
        headers = client(store).get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-eval" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


def test_what_was_measured_is_not_kept_and_files_are(store: Store) -> None:
    asked = client(store)
    assert asked.get("/_dash-layout").headers["Cache-Control"] == "no-store"
    index = asked.get("/").get_data(as_text=True)
    for part in index.split('src="')[1:]:
        source = asked.get(part.split('"')[0], headers={"Accept-Encoding": "gzip"})
        assert source.status_code == 200
        assert "immutable" in source.headers["Cache-Control"]
        assert source.headers["Content-Encoding"] == "gzip" or len(source.data) < 1024


@pytest.mark.parametrize(
    "path", ["/assets/nothing.js", "/assets/../app.py", "/_loadlab/other.js", "/export/nothing"]
)
def test_files_that_are_none_are_404(store: Store, path: str) -> None:
    assert client(store).get(path).status_code == 404


def test_below_a_prefix_with_and_without_a_proxy_that_strips_it(store: Store) -> None:
    asked = client(store, prefix="/loadlab/")
    for path in ("/loadlab/", "/", "/loadlab/tradeoff", "/loadlab/assets/loadlab.css"):
        assert asked.get(path).status_code == 200
    assert asked.get("/loadlab/nope").status_code == 404
    layout = asked.get("/loadlab/_dash-layout").get_data(as_text=True)
    assert '"href":"/loadlab/tradeoff"' in layout
    assert '"href":"/tradeoff"' not in layout
    assert "u002ftradeoff" not in layout
    assert 'src="/loadlab/_loadlab/plotly' in asked.get("/").get_data(as_text=True)


def test_no_secret_leaves_by_any_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-planted-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    asked = client(store, BOTH)
    asked.post("/login", data={"secret": READER})
    view = {"path": f"/run/{RUN}", "search": "?tab=errors", "theme": "light"}
    call = {
        "output": "..page.children...shown.data..", "changedPropIds": ["view.data"],
        "outputs": [{"id": "page", "property": "children"}, {"id": "shown", "property": "data"}],
        "inputs": [{"id": "view", "property": "data", "value": view}],
    }  # fmt: skip
    answers = [
        asked.get(path) for path in (*EVERY_KIND, "/healthz", "/login", f"/export/page.html?path=/run/{RUN}")
    ]
    answers.append(asked.post("/_dash-update-component", json=call))
    assert answers[-1].status_code == 200
    assert "503 Service Unavailable" in json.dumps(answers[-1].get_json())
    for answer in answers:
        said = answer.data + str(answer.headers).encode()
        assert not any(secret.encode() in said for secret in (key, READER, OPERATOR))
