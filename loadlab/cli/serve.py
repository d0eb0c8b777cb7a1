"""`loadlab serve`: the bundled reference server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from loadlab.cli.output import emit_json, say
from loadlab.core.errors import UsageError
from loadlab.core.units import NS_PER_S, parse_duration

_DELAYS = "a length, uniform:LOW:HIGH, exponential:MEAN, lognormal:MEAN:CV or gamma:MEAN:CV"


def serve(
    engine: Annotated[str | None, typer.Option(help="torch (a real model) or sim (known timing).")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="smollm2-135m, tiny, a GGUF file, a Hugging Face folder, or a name with 'sim'."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 8000,
    device: Annotated[
        str, typer.Option(help="torch: auto, cpu, cuda, cuda:0; or several, with commas.")
    ] = "auto",
    threads: Annotated[int, typer.Option(help="torch on CPU: threads; 0 means one per core.")] = 0,
    max_num_seqs: Annotated[int, typer.Option(help="Requests served at once; 0: torch 64, sim 4096.")] = 0,
    max_num_batched_tokens: Annotated[
        int, typer.Option(help="Tokens in one engine step; 0: whole prompts.")
    ] = 512,
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
    dtype: Annotated[str, typer.Option(help="Precision of the weights: auto, fp32 or bf16.")] = "auto",
    quant: Annotated[str, typer.Option(help="Weights in fewer bits: none, int8 or int4.")] = "none",
    block_size: Annotated[int, typer.Option(help="Tokens in one block of the KV cache.")] = 16,
    num_blocks: Annotated[int, typer.Option(help="Blocks of the KV cache; 0: what the memory holds.")] = 0,
    prefix_cache: Annotated[
        bool, typer.Option("--prefix-cache/--no-prefix-cache", help="Compute the same beginning once.")
    ] = True,
    batching: Annotated[
        str, typer.Option(help="continuous, or static: a batch must end before the next begins.")
    ] = "continuous",
    speculate: Annotated[str, typer.Option(help="Guess tokens and check them: off, ngram or draft.")] = "off",
    speculate_tokens: Annotated[int, typer.Option(help="How many to guess at once.")] = 4,
    speculate_max_seqs: Annotated[int, typer.Option(help="No guessing while more requests run.")] = 4,
    draft_model: Annotated[
        str | None, typer.Option(help="The model that guesses, for --speculate draft.")
    ] = None,
    cuda_graphs: Annotated[
        bool, typer.Option("--cuda-graphs/--no-cuda-graphs", help="On a GPU: steps recorded and replayed.")
    ] = True,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="On a GPU: torch.compile; starts slower.")
    ] = False,
    frontends: Annotated[int, typer.Option(help="torch: HTTP processes on one port, before one engine.")] = 1,
    route_model: Annotated[
        str | None,
        typer.Option(help="Serves a second model too, and 'auto', which takes it for short prompts."),
    ] = None,
    route_tokens: Annotated[
        int, typer.Option(help="Longest prompt that 'auto' gives the second model.")
    ] = 256,
    response_cache: Annotated[
        bool,
        typer.Option("--response-cache/--no-response-cache", help="Answer repeated questions from memory."),
    ] = False,
    response_cache_ttl: Annotated[str, typer.Option(help="How long an answer is kept there.")] = "5m",
    max_waiting: Annotated[
        int, typer.Option(help="Requests that may wait; the next gets status 429. 0: no limit.")
    ] = 0,
    max_new_tokens: Annotated[
        int, typer.Option(help="Longest answer that may be asked for; 0: no limit.")
    ] = 0,
    max_body_mib: Annotated[int, typer.Option(help="Largest body of a request.")] = 8,
    files: Annotated[
        Path | None,
        typer.Option(help="Folder for uploaded files and batches; else one that goes with the server."),
    ] = None,
    drain: Annotated[str, typer.Option(help="How long requests may go on after SIGTERM.")] = "20s",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout when ready.")] = False,
) -> None:
    """Serve a real small model, or a simulated one of known timing, over OpenAI's and Anthropic's APIs."""
    from loadlab.server import serving
    from loadlab.server.settings import Settings
    from loadlab.server.simulated import DEFAULT_MODEL, Simulated
    from loadlab.server.techniques import Techniques
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
        raise UsageError(
            "--simulates and --fault need --hardware; `loadlab hardware list` shows what there is."
        )
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
        techniques=Techniques(
            dtype=cast("Any", dtype),
            quant=cast("Any", quant),
            block_size=block_size,
            num_blocks=num_blocks,
            prefix_cache=prefix_cache,
            batching=cast("Any", batching),
            speculate=cast("Any", speculate),
            speculate_tokens=speculate_tokens,
            speculate_max_seqs=speculate_max_seqs,
            draft_model=draft_model,
            cuda_graphs=cuda_graphs,
            compile=compiled,
        ),
        frontends=frontends,
        route_model=route_model,
        route_tokens=route_tokens,
        response_cache=response_cache,
        response_cache_ttl_s=parse_duration(response_cache_ttl),
        max_waiting=max_waiting,
        max_new_tokens=max_new_tokens,
        max_body_mib=max_body_mib,
        files=files,
        drain_s=parse_duration(drain),
    )
    serving.serve(settings, announce)
