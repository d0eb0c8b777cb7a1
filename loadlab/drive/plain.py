"""A scenario under plain `locust -f`: no recorder, so token metrics become rows of Locust's own statistics.

Importing this module imports locust.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

import gevent
from gevent import GreenletExit
from locust import events

from loadlab import dialects
from loadlab.core.errors import LoadlabError, UsageError
from loadlab.core.nouns import Endpoint, Exchange, Result, Timeouts
from loadlab.core.units import NS_PER_MS, NS_PER_S, parse_duration
from loadlab.dialects import profiles
from loadlab.drive import preflight
from loadlab.drive.driver import Driver
from loadlab.recorder.decode import decode
from loadlab.wire.auth import signer_of

if TYPE_CHECKING:
    from loadlab.drive.user import StreamUser


def driver_for(environment: Any, user: StreamUser) -> Driver:
    """The process's driver: the one `loadlab run` put there, or one made from Locust's own options."""
    driver: Driver | None = getattr(environment, "loadlab_driver", None)
    if driver is None:
        try:
            driver = environment.loadlab_driver = _plain_driver(environment, user)
        except LoadlabError as error:
            _give_up(environment, error)
    return driver


def _give_up(environment: Any, error: LoadlabError) -> NoReturn:
    """Says what is wrong. On the command line that is the end; on the web page it can be put right."""
    logging.getLogger("loadlab").error(str(error))
    environment.process_exit_code = int(error.exit_code)
    gevent.spawn(environment.runner.stop if environment.web_ui else environment.runner.quit)
    raise GreenletExit


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_options(parser: Any) -> None:
    group = parser.add_argument_group("loadlab")
    group.add_argument("--model", default="", help="Model name to ask for")
    group.add_argument("--max-tokens", type=int, default=None, help="Cap on the output of every request")
    group.add_argument(
        "--prompt-tokens", type=int, default=None, help="Synthetic prompts of about this length"
    )
    group.add_argument("--api-key-env", default=None, help="Environment variable that holds the API key")
    group.add_argument("--request-timeout", default="60s", help="Limit for one request, such as 60s")
    group.add_argument("--seed", type=int, default=0, help="Seed of the prompts")


def _plain_driver(environment: Any, user: StreamUser) -> Driver:
    options = environment.parsed_options
    if not user.host:
        raise UsageError("no host: give --host http://127.0.0.1:8000/v1 or enter it in the web page.")
    endpoint = Endpoint(
        url=user.host, model=options.model, name=user.host, dialect=user.dialect, auth_env=options.api_key_env
    )
    endpoint = profiles.resolve(endpoint)
    endpoint = preflight.check(endpoint, signer_of(endpoint))
    return Driver(
        endpoint,
        lambda exchange: _report(environment, endpoint, exchange),
        # Locust's workers do not know how many they are: each has a stream of its own.
        seed=options.seed + max(0, getattr(environment.runner, "worker_index", 0)),
        timeouts=Timeouts(total_s=parse_duration(options.request_timeout)),
        max_tokens=options.max_tokens,
        prompt_tokens=options.prompt_tokens,
    )


def _report(environment: Any, endpoint: Endpoint, exchange: Exchange) -> None:
    if exchange.error_kind == "cancelled":  # Locust stopping its users is no failure of the server
        return
    result = decode(exchange, dialects.get(endpoint.dialect))
    for kind, value in _rows(result).items():
        fire(environment, exchange, kind, value, _failure(result) if kind == "POST" else None)


def _rows(result: Result) -> dict[str, float]:
    """What Locust shows, a row each: request, first token and mean gap in ms, pace in tokens/s."""
    start = result.planned_ns if result.sent_ns is None else result.sent_ns
    rows = {"POST": ((result.done_ns or start) - start) / NS_PER_MS}
    arrivals = result.arrivals_ns
    if arrivals:
        rows["TTFT"] = (arrivals[0] - start) / NS_PER_MS
    if len(arrivals) > 1 and arrivals[-1] > arrivals[0]:
        span = arrivals[-1] - arrivals[0]
        rows["ITL"] = span / (len(arrivals) - 1) / NS_PER_MS
        rows["tok/s"] = ((result.output_tokens or len(arrivals)) - 1) / (span / NS_PER_S)
    return rows


def _failure(result: Result) -> Exception | None:
    return Exception(f"{result.error_kind}: {result.error_detail}") if result.error_kind else None


def fire(environment: Any, exchange: Exchange, kind: str, value: float, failure: Exception | None) -> None:
    """Tells Locust of one sample, so that its statistics, listeners and web page see it."""
    environment.events.request.fire(
        request_type=kind,
        name="answer",
        response_time=value,
        response_length=exchange.reads.size,
        exception=failure,
        context={},
    )
