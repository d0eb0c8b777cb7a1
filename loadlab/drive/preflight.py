"""Before any load: is the endpoint there, does it accept us, does it know the model? Plain urllib.

Asks GET <base>/models, which costs nothing. Where that cannot vouch for the model, or there is a key to be
refused, one short request is sent as the load would send it, and its answer is read.
"""

from __future__ import annotations

import difflib
import io
import json
import wave
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from loadlab import dialects
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call
from loadlab.dialects.calls import address
from loadlab.drive.ask import Answer, PreflightError, TimeoutTargetError, ask
from loadlab.wire.auth import Sign

_PROBE_TOKENS = 16  # OpenAI's responses take no smaller cap


class Found(NamedTuple):
    """What asking for the list of models told: the endpoint, its model filled in, and the answer."""

    endpoint: Endpoint
    listing: Answer
    models: list[str]


def check(endpoint: Endpoint, sign: Sign) -> Endpoint:
    """The endpoint with its model filled in. Raises UsageError or TargetError, in one line what to change."""
    found = find(endpoint, sign)
    if found.endpoint.model not in found.models or endpoint.keyed:
        first(found, sign)
    return found.endpoint


def find(endpoint: Endpoint, sign: Sign) -> Found:
    """What is there, asked at no cost. Raises UsageError, or PreflightError when nothing answers."""
    _check_url(endpoint)
    call = sign(Call("GET", address(endpoint, "/models", "/v1")))
    answer = ask(endpoint, call.method, call.url, call.headers)
    if answer.status in (401, 403) and not endpoint.keyed:
        words = f"{endpoint.url} wants a key (HTTP {answer.status}); give --api-key-env NAME."
        raise PreflightError("key", words)
    models = _models(answer.body) if answer.status == 200 else []
    if not endpoint.model:
        endpoint = replace(endpoint, model=_only(models, endpoint))
    return Found(endpoint, answer, models)


def first(found: Found, sign: Sign) -> Answer | None:
    """One short request as the load would send it, and its answer; None for one that did not come in time.

    Raises PreflightError for a refusal. What a busy server says (429, 5xx, silence) is for the run to
    measure. A WebSocket is not opened: None.
    """
    endpoint, _, models = found
    dialect = dialects.get(endpoint.dialect)
    asked = Request(prompt="Hi", max_tokens=_PROBE_TOKENS, stream=endpoint.stream, audio=silence())
    call = dialect.encode(endpoint, asked)
    if call.messages:
        return None
    try:
        answer = ask(endpoint, call.method, call.url, sign(call).headers, call.body)
    except TimeoutTargetError:
        return None
    if answer.status == 429 or answer.status >= 500:
        return answer
    if answer.status >= 300:
        raise refusal(endpoint, call, answer, models)
    streams = asked.stream and call != dialect.encode(endpoint, replace(asked, stream=False))
    _read(endpoint, answer, streams=streams)
    return answer


def _check_url(endpoint: Endpoint) -> None:
    parts = urlsplit(endpoint.url)
    try:
        parts.port  # noqa: B018  reading it is the check
    except ValueError as error:
        raise UsageError(f"URL '{endpoint.url}' has no usable port: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"URL '{endpoint.url}' is not an http(s) URL; write it like http://127.0.0.1:8000/v1."
        )
    if parts.username or parts.password:
        raise UsageError("the URL carries a user or password; give the key by --api-key-env NAME instead.")


def _only(models: list[str], endpoint: Endpoint) -> str:
    """The one model there is; beside it, one that is for embeddings by its name leaves no doubt."""
    meant = [name for name in models if ("embed" in name) == ("embed" in endpoint.dialect)]
    if len(meant) == 1:
        return meant[0]
    offered = f"it offers {', '.join(models)}" if models else "it does not list its models"
    raise UsageError(f"no model is named for {endpoint.url}; {offered}; give --model NAME.")


def refusal(endpoint: Endpoint, call: Call, answer: Answer, models: list[str]) -> PreflightError:
    """What a refused request means, and what to change."""
    said = f"HTTP {answer.status}: {_words(endpoint, answer)}"
    place = f"[targets.{endpoint.name}] of loadlab.toml"
    lower = said.lower()
    if answer.status in (401, 403):
        return PreflightError("key", f"{endpoint.url} refused {_credential(endpoint, said)}.")
    unserved = f"{endpoint.url} does not serve model '{endpoint.model}' ({said});"
    if models and endpoint.model not in models:
        near = difflib.get_close_matches(endpoint.model, models, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return PreflightError("model", f"{unserved} {hint}It offers: {', '.join(models)}.")
    if "max_completion_tokens" in lower:
        fields = '{ max_tokens = "max_completion_tokens" }'
        return PreflightError("request", f"{said}; give fields = {fields} in {place}.")
    if "temperature" in lower:
        words = f"model '{endpoint.model}' refuses a temperature ({said});"
        return PreflightError("request", f'{words} give fields = {{ temperature = "" }} in {place}.')
    if "model" in lower and answer.status in (400, 404):
        return PreflightError("model", f"{unserved} give --model NAME.")
    if answer.status in (404, 405):
        words = f"there is no {endpoint.dialect} at {call.url} ({said}); check --url and --dialect."
        return PreflightError("request", words)
    words = f"{endpoint.url} refused a first request ({said}); the words say what to change."
    return PreflightError("request", words)


def _credential(endpoint: Endpoint, said: str) -> str:
    """What was refused, with the server's words, and where to look."""
    match endpoint.signs_for:
        case "aws":
            return f"the signature ({said}); check the AWS keys, the region and what their role may do"
        case "entra" | "google" as source:
            return f"the {source.capitalize()} token ({said}); check whose it is and what that may do"
    where = f"${endpoint.auth_env}" if endpoint.auth_env else "--api-key-env NAME"
    return f"the key ({said}); check {where}"


def _read(endpoint: Endpoint, answer: Answer, *, streams: bool) -> None:
    """Reads an answer as the recorder will. Raises PreflightError for one that is not what was asked for."""
    decoder = dialects.get(endpoint.dialect).decoder(answer.kind)
    try:
        seen = [*decoder.feed(answer.body), *decoder.close()]
    except ValueError as error:
        words = f"{endpoint.url} does not answer in {endpoint.dialect} ({error}); check --url and --dialect."
        raise PreflightError("request", words) from error
    if decoder.error:
        raise PreflightError("request", f"{endpoint.url} answered with an error: {decoder.error}")
    if streams and not seen and "json" in answer.kind and "ndjson" not in answer.kind:
        raise PreflightError(
            "stream",
            f"{endpoint.url} does not stream: it answered in one piece, so there is no first token to time; "
            f"give stream = false in [targets.{endpoint.name}] of loadlab.toml to measure whole answers.",
        )


def _models(body: bytes) -> list[str]:
    try:
        return [str(entry["id"]) for entry in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def _words(endpoint: Endpoint, answer: Answer) -> str:
    """The server's own words, as its language has them, or the beginning of what it sent."""
    decoder = dialects.get(endpoint.dialect).decoder("application/json")
    try:
        decoder.feed(answer.body)
        decoder.close()
    except ValueError:
        pass
    return (decoder.error or answer.body.decode("utf-8", "replace"))[:200]


def silence() -> bytes:
    """A second of it as a WAV file, for languages that want to hear something."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(32_000))
    return file.getvalue()
