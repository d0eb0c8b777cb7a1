"""`loadlab serve`: the bundled reference server."""

from __future__ import annotations

from typing import Annotated

import typer

from loadlab.cli.output import emit_json, say
from loadlab.core.errors import UsageError
from loadlab.core.units import NS_PER_S, parse_duration

_DELAYS = "a length, uniform:LOW:HIGH, exponential:MEAN, lognormal:MEAN:CV or gamma:MEAN:CV"


def serve(
    engine: Annotated[str | None, typer.Option(help="torch (a real model) or sim (known timing).")] = None,
    model: Annotated[str | None, typer.Option(help="smollm2-135m, tiny, or a name with 'sim' in it.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 8000,
    device: Annotated[str, typer.Option(help="torch: auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="torch on CPU: threads; 0 means one per core.")] = 0,
    max_num_seqs: Annotated[int, typer.Option(help="Requests served at once; 0: torch 64, sim 4096.")] = 0,
    max_num_batched_tokens: Annotated[int, typer.Option(help="torch: tokens in one engine step.")] = 512,
    max_model_len: Annotated[
        int, typer.Option(envvar="LOADLAB_MAX_MODEL_LEN", help="Context in tokens; 0 is the model's own.")
    ] = 0,
    ttft: Annotated[str, typer.Option(help=f"sim: arrival to first token: {_DELAYS}.")] = "50ms",
    itl: Annotated[str, typer.Option(help="sim: between tokens, written likewise.")] = "10ms",
    itl_per_stream: Annotated[
        str, typer.Option(help="sim: longer gaps, by this for every other stream that runs.")
    ] = "0ms",
    jitter: Annotated[
        float, typer.Option(help="sim: makes constant --ttft and --itl lognormal, this their variation.")
    ] = 0.0,
    fail_rate: Annotated[float, typer.Option(help="sim: share of requests answered with status 500.")] = 0.0,
    seed: Annotated[int, typer.Option(help="sim: seed of timing and failures; tiny: of its weights.")] = 0,
    hardware: Annotated[
        str | None,
        typer.Option(help="sim: times of this hardware, not of --ttft and --itl; a name or FILE.toml."),
    ] = None,
    simulates: Annotated[
        str | None, typer.Option(help="sim with --hardware: the model. Default llama-8b.")
    ] = None,
    tensor_parallel: Annotated[
        int, typer.Option(help="sim with --hardware: so many devices share the model.")
    ] = 1,
    noise: Annotated[float, typer.Option(help="sim with --hardware: variation of step times.")] = 0.0,
    acceptance: Annotated[
        float, typer.Option(help="sim with --hardware: chance that a drafted token is right.")
    ] = 0.7,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="sim with --hardware, repeatable: error:503:0.02, cut:0.01, stall:0.001:500ms, limit:10 "
            "or cold:20s."
        ),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="NAME of the environment variable that holds the API key.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout when ready.")] = False,
) -> None:
    """Serve a real small model, or a simulated one of known timing, over an OpenAI-compatible API."""
    from loadlab.server import serving
    from loadlab.server.settings import Settings
    from loadlab.server.simulated import DEFAULT_MODEL, Simulated
    from loadlab.server.timing import Timing, parse_delay, with_jitter

    def announce(ready: serving.Ready) -> None:
        say(f"ready: {ready.url}/v1 · engine {ready.engine} · model {ready.model} · device {ready.device}")
        if json:
            emit_json(ready.document())

    simulated = None
    if hardware:
        simulated = Simulated(
            hardware, simulates or DEFAULT_MODEL, tensor_parallel, acceptance, noise, tuple(fault or ())
        )
    elif simulates or fault:
        raise UsageError("--simulates and --fault need --hardware; `loadlab hardware` lists what there is.")
    settings = Settings(
        engine=engine,
        model=model,
        host=host,
        port=port,
        device=device,
        threads=threads,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        context=max_model_len,
        timing=Timing(
            with_jitter(parse_delay(ttft), jitter),
            with_jitter(parse_delay(itl), jitter),
            round(parse_duration(itl_per_stream) * NS_PER_S),
        ),
        fail_rate=fail_rate,
        simulated=simulated,
        seed=seed,
        api_key_env=api_key_env,
    )
    serving.serve(settings, announce)
