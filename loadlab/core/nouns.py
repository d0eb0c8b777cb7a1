"""The six nouns. Times are integer nanoseconds of `clock.now_ns()` unless a name says otherwise.

In scope: plain values that cross process borders. Out of scope: sockets, SQL, formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from loadlab.core.money import Price as Price
from loadlab.core.money import PriceStep as PriceStep
from loadlab.core.money import Terms as Terms
from loadlab.core.reads import Reads

Verdict = Literal["VALID", "SUSPECT", "INVALID"]
RunState = Literal["running", "finished", "interrupted"]
Arrivals = Literal["closed", "shape", "poisson", "constant", "gamma", "trace", "batch"]
CountSource = Literal["usage", "chunks"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. `auth_env` names an environment variable; the secret itself is never kept.

    `ca_file`, `client_cert` and `client_key` are paths of PEM files; `insecure` takes any certificate.

    What makes one vendor different from another (docs/dialects.md): `profile` is where it came from, `params`
    fill the braces of `url`, `auth` is the header that carries the key, `headers` go with every request,
    `fields` renames fields of the body ("" leaves one out), `body` adds to it, and without `stream` every
    answer is asked for in one piece. `auth` may instead name who gives out credentials that end.
    """

    url: str
    model: str
    name: str = "adhoc"
    dialect: str = "openai-chat"
    auth_env: str | None = None
    price: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure: bool = False
    profile: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    auth: str = "Authorization: Bearer {key}"
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = True

    @property
    def signs_for(self) -> str:
        """Who gives out what a call is signed with: aws, entra or google; "" where a header has a key."""
        return "" if "{key}" in self.auth else self.auth.partition(":")[0]

    @property
    def keyed(self) -> bool:
        """Whether a call carries something that can be refused."""
        return bool(self.auth_env or self.signs_for)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one request in seconds; None is no limit of its own.

    `connect_s` covers DNS, TCP and TLS; `stall_s` the silence between two reads; `total_s` all of it.
    """

    connect_s: float = 10.0
    first_byte_s: float | None = None
    stall_s: float | None = None
    total_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat: `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. Exactly one of `messages` and `prompt` is given.

    `ignore_eos` wants exactly `max_tokens` of output, where the server can. `inputs` are texts to embed or
    documents to rank; `audio` is a WAV file to be written down.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    max_tokens: int = 100
    temperature: float = 0.0
    stream: bool = True
    ignore_eos: bool = False
    seed: int | None = None
    conversation: str | None = None
    inputs: tuple[str, ...] = ()
    audio: bytes | None = None


@dataclass(slots=True)
class Exchange:
    """What the stopwatch saw of one request.

    `queued_ns` is the wait for a place under a cap on requests in flight, `connect_ns` the set-up of the
    connection and `tls_ns` the TLS part of it. `reads` holds every read of the response body as (ns, bytes),
    transfer coding removed. `error_kind` is None for a complete response, whatever its HTTP status;
    docs/errors.md lists the kinds. `error_detail` may then still say what the head of a refusal told.
    `audio_s` is the length of the audio that was sent.
    """

    level: int
    worker: int
    seq: int
    planned_ns: int
    warmup: bool = False
    max_tokens: int = 0
    sent_ns: int | None = None
    connect_ns: int = 0
    tls_ns: int = 0
    reused: bool = False
    retries: int = 0
    first_byte_ns: int | None = None
    done_ns: int | None = None
    status: int | None = None
    content_type: str = ""
    reads: Reads = field(default_factory=Reads)
    error_kind: str | None = None
    error_detail: str | None = None
    queued_ns: int = 0
    route: int = 0
    audio_s: float | None = None


@dataclass(slots=True)
class Result:
    """An Exchange decoded, one row of the store. A failure is a Result with an `error_kind`.

    `arrivals_ns` are the times at which output arrived, one per event that carried output (an event may
    hold several tokens). Unknown is None, never 0.

    Token counts are what docs/dialects.md makes of a vendor's: `prompt_tokens` includes those read from and
    written to a cache and those of audio and tools, `output_tokens` those of reasoning and audio. `audio_s`
    is the length of the audio heard or made. `server_timings` holds the server's own times, under its names.
    `output_chars` is the length of the answer's text, reasoning not in it, and `reference_tokens` its length
    in a tokenizer that is the same for all vendors, where the run names one.
    """

    level: int
    worker: int
    seq: int
    warmup: bool
    planned_ns: int
    sent_ns: int | None
    connect_ns: int
    tls_ns: int
    reused: bool
    retries: int
    first_byte_ns: int | None
    first_event_ns: int | None
    first_token_ns: int | None
    first_answer_ns: int | None
    last_token_ns: int | None
    done_ns: int | None
    status: int | None
    error_kind: str | None
    error_detail: str | None
    finish_reason: str | None
    max_tokens: int
    prompt_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    chunks: int
    count_source: CountSource | None
    cost_nano_usd: int | None
    arrivals_ns: list[int]
    queued_ns: int = 0
    first_reasoning_ns: int | None = None
    first_tool_ns: int | None = None
    cache_write_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    tool_tokens: int | None = None
    audio_s: float | None = None
    server_timings: dict[str, float] | None = None
    route: int = 0
    output_chars: int | None = None
    reference_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One number from one device at one time, e.g. source "nvml", device "gpu0", metric "utilisation"."""

    at_ns: int
    source: str
    device: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Level:
    """One step of offered load: `users` in a closed loop, or `rate` requests/s (the mean) in an open one.

    It ends after `requests` requests or `duration_s` seconds, whichever is first. Requests planned in the
    first `warmup_s` seconds are recorded and kept out of every metric.

    Closed loop: users start over `spread_s` and wait `think_s` between requests; with arrivals "shape" their
    number is the scenario's own; with "batch" all are handed in together. Open loop: `cv` is the coefficient
    of variation of gamma gaps, `profile` a rate that changes ("0s:2,30s:20"), `trace` a file of arrival times
    played at `speed`; `max_in_flight` caps the requests under way, and later arrivals wait their turn.
    `repeat` counts, from 0, how often this load was measured before in the run; None where it is measured
    once.
    """

    index: int
    users: int | None = None
    rate: float | None = None
    arrivals: Arrivals = "closed"
    requests: int | None = None
    duration_s: float | None = None
    warmup_s: float = 0.0
    spread_s: float | None = None
    think_s: float | None = None
    cv: float | None = None
    profile: str | None = None
    trace: str | None = None
    speed: float | None = None
    max_in_flight: int | None = None
    repeat: int | None = None

    @property
    def offered(self) -> dict[str, Any]:
        """The load, without the keys that do not apply: repeats of it are alike."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key not in ("index", "repeat") and value is not None
        }


@dataclass(frozen=True, slots=True)
class Route:
    """Another endpoint of a run, to which its scenario may send a request by name; priced on its own."""

    name: str
    endpoint: Endpoint
    price: Price | None = None
    unpriced: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Route:
        """The inverse of `dataclasses.asdict`."""
        price = Price.from_dict(data["price"]) if data["price"] else None
        return cls(data["name"], Endpoint(**data["endpoint"]), price, data["unpriced"])


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked, in full: with its seed, a run can be repeated. A sweep is a run of several levels.

    `clock_ns` and `started_at_ns` anchor the run: the same instant on the monotonic clock and as UTC epoch
    nanoseconds. Stored times are offsets from `clock_ns`. `max_cost_usd` ends it, where one request may cost
    up to `worst_request_usd`; `max_rate` holds closed loops back to so many requests per second.

    `gpu_url`: where the server's GPUs are read: a URL, "local", "none", or None to find out; `gpus` names
    some of them ("0,1"); `gpu_token_env` an environment variable.

    `fresh_prompts` puts a few characters of its own before each prompt, so that no cache of prompts knows it.
    `course` says how levels are chosen as the run goes on ("kind": list, auto or search, and what that
    needs); `levels` are then those chosen so far.

    `workload` takes the place of the scenario's own (`loadlab.workloads.asked`); `reference` names the
    tokenizer that counts every answer beside its vendor (`loadlab.recorder.tokens`).
    """

    id: str
    scenario: str
    scenario_path: str
    endpoint: Endpoint
    levels: tuple[Level, ...]
    seed: int
    timeout_s: float
    clock_ns: int
    started_at_ns: int
    max_tokens: int | None = None
    exact_length: bool = False
    prompt_tokens: int | None = None
    processes: int = 1
    price: Price | None = None
    unpriced: str = ""
    label: str = ""
    metrics_url: str | None = None
    gpu_url: str | None = None
    gpu_token_env: str | None = None
    gpus: str | None = None
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float | None = None
    stall_timeout_s: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)
    max_cost_usd: float | None = None
    worst_request_usd: float | None = None
    max_rate: float | None = None
    routes: tuple[Route, ...] = ()
    fresh_prompts: bool = False
    course: Mapping[str, Any] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""

    @property
    def timeouts(self) -> Timeouts:
        """The limits of one request."""
        return Timeouts(
            self.connect_timeout_s, self.first_byte_timeout_s, self.stall_timeout_s, self.timeout_s
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`."""
        price = data.get("price")
        return cls(
            **{
                **data,
                "endpoint": Endpoint(**data["endpoint"]),
                "levels": tuple(Level(**level) for level in data["levels"]),
                "price": Price.from_dict(price) if price else None,
                "terms": Terms(**data.get("terms", {})),
                "routes": tuple(Route.from_dict(route) for route in data.get("routes", ())),
            }
        )
